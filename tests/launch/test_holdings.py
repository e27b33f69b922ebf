"""Images are looked at before the start: what is wrong ends it, and what was changed is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from image_files import png16, ramp, write

from fedphd.common.config import Config
from fedphd.common.errors import SettingError
from fedphd.launch.composing import compose
from fedphd.launch.holdings import read_images, save
from fedphd.launch.preflight import check
from fedphd.launch.report import write_report

COLOUR = ["model.unet.in_channels=3", "model.unet.out_channels=3"]


def config(path: Path, *overrides: str) -> Config:
    data = ["data=folder", f'data.path="{path}"', "data.size=8", "partition=iid", "topology.clients=2"]
    return compose([*data, "evaluation=grid", *overrides])


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(20):
            write(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def test_notes_are_told_and_kept_for_the_report(pets: Path, tmp_path: Path) -> None:
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    run = config(pets, *COLOUR)
    assert check(run).notes == ["images: 1 hidden or system file or folder left out (.DS_Store)"]
    save(read_images(run), tmp_path)
    kept = json.loads((tmp_path / "images.json").read_text())
    assert kept["all"]["images"] == 36 and kept["all"]["shape"] == [3, 8, 8]
    page = write_report(tmp_path).read_text()
    assert "1 hidden or system file or folder left out (.DS_Store)" in page
    assert "3 x 8 x 8" in page


def test_deep_grey_images(tmp_path: Path) -> None:
    for number in range(20):
        png16(tmp_path / "a" / f"{number}.png", ramp(4095))
    notes = check(config(tmp_path)).notes
    assert any("0 to 4095 became 0 to 255 (data.depth=auto)" in note for note in notes)
    with pytest.raises(SettingError, match=r"the images are 1x8x8; use a model with .*, or data\.channels=3"):
        check(config(tmp_path, *COLOUR))
    check(config(tmp_path, "data.channels=3", *COLOUR))


def test_an_image_cut_short_is_found_before_the_start_also_a_held_out_one(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64), np.uint16)
    for number in range(20):
        file = png16(tmp_path / "a" / f"{number:02}.png", noise)
        file.write_bytes(file.read_bytes()[:2000] if number % 10 == 3 else file.read_bytes())
    for holdout in (0, 0.5):
        with pytest.raises(SettingError, match=r"(03|13)\.png: cannot be read"):
            check(config(tmp_path, "data.depth=16", f"data.holdout={holdout}"))


def test_each_holder_is_named(pets: Path, tmp_path: Path) -> None:
    for holder in ("root", "client-0", "client-1"):
        write(tmp_path / "holders" / holder / "cat" / "x.png")
    (tmp_path / "holders" / "client-1" / "cat" / "notes.txt").write_text("x")
    notes = check(config(tmp_path / "holders", *COLOUR, "partition=own", "data.holdout=0")).notes
    assert "client-1's images: 1 file that is no image left out (.txt 1; notes.txt)" in notes
    (tmp_path / "holders" / "client-1" / "cat" / "x.png").write_bytes(b"")
    with pytest.raises(SettingError, match=r"client-1/cat/x\.png: cannot be read"):
        check(config(tmp_path / "holders", *COLOUR, "partition=own", "data.holdout=0"))


def test_what_does_not_fit_names_its_holder(tmp_path: Path) -> None:
    for holder in ("root", "client-0", "client-1"):
        shape = (6, 8, 8, 3) if holder == "client-1" else (6, 8, 8)
        np.savez(tmp_path / f"{holder}.npz", x=np.zeros(shape, np.uint8), y=np.arange(6) % 2)
    own = ["data=npz", f"data.path={tmp_path}", "partition=own", "topology.clients=2", "evaluation=grid"]
    with pytest.raises(
        SettingError, match=r"^model=digits8: client-1: expects 1x8x8 \(CxHxW\), the images are 3x8x8; "
    ):
        check(compose(own))
    with pytest.raises(SettingError, match=r"^data\.limit=50: root: there are 6 training images; use at most 6"):
        check(compose([*own, "data.limit=50", "data.holdout=0"]))
    with pytest.raises(SettingError, match=r"^data\.limit=50: root: there are 6 training images"):
        check(compose([*own, "data.limit=50", "data.holdout=0", "model.classes=labels"]))


def test_a_start_with_an_unreadable_image_leaves_nothing_behind(pets: Path, tmp_path: Path) -> None:
    (pets / "dog" / "3.png").write_bytes(b"")
    data = ["data=folder", f'data.path="{pets}"', "data.size=8", "partition=iid", "topology.clients=2", *COLOUR]
    words = [*data, "evaluation=grid", "runtime=inprocess", f"hydra.run.dir={tmp_path / 'runs' / 'one'}"]
    command = [sys.executable, "-c", "from fedphd.launch.cli import main; main()", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"fedphd: data.path={pets}/dog/3.png: cannot be read")
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "runs" / "one").exists()


def test_one_class_and_partitions_by_class(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"{number}.png")
    for partition, told in (
        (["partition=pathological"], "the images are of one class; use partition=iid or quantity"),
        (
            ["partition=dirichlet", "partition.alpha=1", "partition.min_samples=1"],
            "the images are of one; use iid or quantity",
        ),
    ):
        with pytest.raises(SettingError, match=told):
            check(config(tmp_path, *COLOUR, *partition))
    (note,) = check(
        config(tmp_path, *COLOUR, "partition=quantity", "partition.alpha=1", "partition.min_samples=1")
    ).notes
    assert note.startswith("images: no subfolders: all 20 images are of one class, image")


def test_holders_whose_values_are_scaled_differently_are_warned_of(tmp_path: Path) -> None:
    for holder, highest in (("root", 4000), ("client-0", 3000), ("client-1", 900)):
        png16(tmp_path / holder / "a" / "x.png", ramp(highest))
    own = ["partition=own", "data.holdout=0"]
    told = [note for note in check(config(tmp_path, *own)).notes if "WARNING" in note]
    assert told == [
        "client-1's images: WARNING: values 0 to 1023 became 0 to 255, and those of root 0 to 4095; "
        "give data.depth, so that all are scaled alike"
    ]
    assert not [note for note in check(config(tmp_path, *own, "data.depth=12")).notes if "WARNING" in note]

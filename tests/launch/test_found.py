"""What is told of the images before a start, and small sets of users' kinds that train, or are refused before it."""

from pathlib import Path

import numpy as np
import pytest
from helpers import events, small_config
from PIL import Image
from run_writer import RunWriter

from fedphd.common.config import Config
from fedphd.common.errors import SettingError
from fedphd.common.run.events import Note
from fedphd.common.run.ledger import Ledger
from fedphd.launch.found import found
from fedphd.launch.preflight import check, make_ready
from fedphd.launch.report.recorded_run import RecordedRun
from fedphd.launch.report.tables import holdings_table
from fedphd.launch.runtimes.inprocess import run
from fedphd.launch.train import train_to_the_end

RNG = np.random.default_rng(3)
AWAY = ["runtime.superlink=127.0.0.1:9", "runtime.insecure=true"]
FEW = ["topology.edges=1", "topology.homes=null", "rounds=1", "topology.edge_rounds=1", "sampler.steps=2"]


def write_images(folder: Path, **classes: int) -> None:
    for name, number in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(number):
            Image.fromarray(RNG.integers(0, 255, (8, 8), np.uint8)).save(folder / name / f"{index}.png")


def folder_config(path: Path, *overrides: str) -> Config:
    return small_config("data=folder", f"data.path={path}", "data.size=8", "evaluation.grid_images=4", *FEW, *overrides)


# --- the first line ----------------------------------------------------------------------------------


def test_one_set_that_is_split(tmp_path: Path) -> None:
    config, _ = make_ready(small_config("topology.clients=3"), tmp_path / "run")
    text = found(config, tmp_path / "run")
    assert text == "1,500 images of 10 classes (0, 1, 2, 3, 4, ...) for 3 clients, 8x8 grey"


def test_each_clients_own(tmp_path: Path) -> None:
    write_images(tmp_path / "own" / "root", cat=3, dog=3)
    write_images(tmp_path / "own" / "client-0", cat=1)
    write_images(tmp_path / "own" / "client-1", bird=4, dog=5)
    own = ["partition=own", "topology.clients=2", "data.holdout=0"]
    config, _ = make_ready(folder_config(tmp_path / "own", *own), tmp_path / "run")
    text = found(config, tmp_path / "run")
    assert text == "10 images of 3 classes (bird, cat, dog) for 2 clients (1 to 9 each), 8x8 grey"
    away, _ = make_ready(folder_config(tmp_path / "own", *own, "runtime=deployment", *AWAY), tmp_path / "away")
    text = found(away, tmp_path / "away")
    assert text == (
        "2 clients, each with images on its own machine; the root has 6 images of 2 classes (cat, dog), 8x8 grey"
    )


def test_a_root_without_images_measures_nothing(tmp_path: Path) -> None:
    write_images(tmp_path / "own" / "client-0", cat=2)
    write_images(tmp_path / "own" / "client-1", dog=3)
    own = ["partition=own", "topology.clients=2"]
    config, notes = make_ready(folder_config(tmp_path / "own", *own), tmp_path / "run")
    assert notes[0] == "the root has no images of its own: pictures are drawn, and nothing is measured"
    run(config, tmp_path / "run")
    assert (tmp_path / "run" / "samples" / "round_0001.png").exists()
    told = r"^data.path=.*own/root: no such file or folder; the root measures with these: .* use evaluation=grid$"
    with pytest.raises(SettingError, match=told):
        check(folder_config(tmp_path / "own", *own, "evaluation=fd_classifier"))
    config, _ = make_ready(folder_config(tmp_path / "none", *own, "runtime=deployment", *AWAY), tmp_path / "away")
    assert found(config, tmp_path / "away") == "2 clients, each with images on its own machine"


# --- kinds of small sets -----------------------------------------------------------------------------

MEASURED = ["evaluation=fd_classifier", "evaluation.images=4", "evaluation.final_images=4", "ema_decay=null"]


def trained(config: Config, folder: Path) -> list[int]:
    """Train and give the images that each aggregate counts."""
    config, _ = make_ready(config, folder)
    run(config, folder)
    assert events(Ledger(folder / "ledger.jsonl"), "finish")
    return [one["samples"] for one in events(Ledger(folder / "ledger.jsonl"), "aggregate")]  # type: ignore[misc]


@pytest.mark.parametrize("classes", [{"a": 200, "b": 2}, {"a": 24}, {"a": 3, "b": 3}])
def test_few_images_or_classes_train(tmp_path: Path, classes: dict[str, int]) -> None:
    write_images(tmp_path / "images", **classes)
    total = sum(classes.values())
    config = folder_config(tmp_path / "images", "topology.clients=2", *MEASURED)
    assert trained(config, tmp_path / "run") == [total - round(0.1 * total)]


def test_a_client_with_one_image_trains(tmp_path: Path) -> None:
    write_images(tmp_path / "own" / "root", a=12, b=12)
    write_images(tmp_path / "own" / "client-0", a=12, b=12)
    write_images(tmp_path / "own" / "client-1", a=1)
    config = folder_config(tmp_path / "own", "partition=own", "topology.clients=2", *MEASURED)
    assert trained(config, tmp_path / "run") == [25]


def test_a_client_without_an_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "own" / "client-0", a=3)
    write_images(tmp_path / "own" / "client-1", a=0)
    with pytest.raises(SettingError, match=r"^data.path=.*own/client-1: holds no image; give at least one$"):
        check(folder_config(tmp_path / "own", "partition=own", "topology.clients=2"))


def test_an_archive_without_images_of_the_highest_class_trains(tmp_path: Path) -> None:
    """... and one without labels beside it."""
    for name, classes in (("root", 3), ("client-0", 2), ("client-1", 3)):
        pixels = RNG.integers(0, 256, (12, 8, 8), np.uint8)
        np.savez(tmp_path / f"{name}.npz", train_x=pixels, train_y=np.arange(12) % classes)
    np.savez(tmp_path / "client-2.npz", x=(RNG.random((5, 1, 8, 8)) * 4000).astype(np.uint16))
    own = ["data=npz", f"data.path={tmp_path}", "partition=own", "topology.clients=3", "assignment=homogeneity"]
    config = small_config(*own, *FEW)
    _, notes = make_ready(config, tmp_path / "check")
    assert [note.partition(": ")[0] for note in notes] == ["client-2's images"] * 5
    assert notes[-1] == (
        "client-2's images: WARNING: its classes are none (image), and those of root numbers (0, 1, 2): "
        "name them alike, or give data.classes"
    )
    assert trained(config, tmp_path / "run") == [29]
    assert RecordedRun.read(tmp_path / "run").class_names == ["0", "1", "2", "image"]


def test_damaged_pixels_of_an_archive_are_found_before_the_start(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (600, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", train_x=pixels, train_y=np.arange(600) % 10)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[20_000] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(SettingError, match=r"^data.path=.*a.npz: train_x cannot be read as NumPy's \(Bad CRC-32"):
        make_ready(small_config("data=npz", f"data.path={tmp_path / 'a.npz'}", *FEW), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- what clients told ---------------------------------------------------------------------------------


def test_the_report_shows_what_deployed_clients_told(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    writer.start()
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for _ in range(2):  # a resumed run tells it again
        ledger.write(Note(peer="client-1", text="12 hidden files left out"))
    ledger.write(Note(peer="client-1", text="values 0 to 4095 became 0 to 255"))
    table = holdings_table(RecordedRun.read(tmp_path))
    assert table is not None
    [row] = table.rows
    assert row[:2] == ["client-1", "12 hidden files left out; values 0 to 4095 became 0 to 255"]


def test_what_the_user_wrote_is_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "images", **{"[b]cat": 12, "dog": 12})
    config = folder_config(tmp_path / "images", "topology.clients=1", "topology.quorum=1")
    train_to_the_end(config, tmp_path / "run [red]")
    told = capsys.readouterr().out
    assert "2 classes ([b]cat, dog)" in told
    assert f"run folder {tmp_path}/run [red]\n" in told
    assert f"report     {tmp_path}/run [red]/report.html\n" in told

"""A user's own data set, feature extractor and tracker, from a folder outside the checkout, in a whole tiny run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedphd.common.config import compose, from_yaml
from fedphd.common.errors import SettingError
from fedphd.launch.preflight import check
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.recorder import check_outlets
from fedphd.server.simulation import simulate

FEDPHD = str(Path(sys.executable).parent / "fedphd")
PARTS = '''
from pathlib import Path
from typing import Self

import numpy as np
import torch

from fedphd.common.data import ArrayImages, DataSet, Split
from fedphd.common.paths import UserPath
from fedphd.common.training.seeding import numpy_rng
from fedphd.server.evaluation import Extractor, Features, NetworkFeatures, Workbench
from fedphd.server.tracking import Line, Tracker


class Stripes(DataSet):
    """Bars on one row or column of 8x8 pixels; a file may say how bright they are."""

    widths: list[int] = [1, 2]
    file: UserPath | None = None

    def read(self, split: Split, seed: int) -> ArrayImages:
        rng = numpy_rng(seed, "stripes", split)
        count = 120 if split == "train" else 40
        labels = np.arange(count) % 2
        pixels = np.zeros((count, 1, 8, 8), np.uint8)
        bright = 255 if self.file is None else int(self.file.read_text())
        for image, label, place in zip(pixels[:, 0], labels, rng.integers(6, size=count), strict=True):
            (image if label else image.T)[place : place + self.widths[label]] = bright
        return ArrayImages(labels.astype(np.int64), ("down", "across"), (1, 8, 8), pixels)

    def at(self, path: Path) -> Self:
        return self.model_copy(update={"file": path})


class Pooled(Extractor):
    """Mean brightness of the cells of a grid."""

    cells: int = 2

    def build(self, bench: Workbench) -> Features:
        pool = torch.nn.AdaptiveAvgPool2d(self.cells)
        return NetworkFeatures(lambda: lambda images: pool(images.float()).flatten(1), self.kind, bench)


class Notes(Tracker):
    """One line of text for each round."""

    file: UserPath

    def open(self, run_dir: Path):
        def write(line: Line) -> None:
            with self.file.open("a", encoding="utf-8") as target:
                target.write(f"{line['round']} {line.get('fd_pooled')}\\n")

        return write
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder: a module, and a configuration folder for it."""
    folder = tmp_path / "own"
    (folder / "conf" / "data").mkdir(parents=True)
    (folder / "my_parts.py").write_text(PARTS)
    (folder / "conf" / "data" / "stripes.yaml").write_text('kind: "my_parts:Stripes"\nwidths: [1, 2]\nlimit: null\n')
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("my_parts", None)


def overrides(notes: Path) -> list[str]:
    sizes = ["rounds=2", "topology.clients=4", "partition=iid", "training.batch_size=10", "training.warmup_steps=2"]
    measured = ["evaluation.extractor='my_parts:Pooled'", "+evaluation.cells=3"]
    drawn = [
        "evaluation.images=8",
        "evaluation.final_images=null",
        "sampler.steps=2",
        "evaluation.every=1",
        "evaluation.grid_images=4",
    ]
    tracked = ["+tracking.mine.kind='my_parts:Notes'", f"+tracking.mine.file={notes}"]
    return ["method=fedavg", "runtime=inprocess", *sizes, *measured, *drawn, *tracked]


def test_a_run_on_parts_of_the_users_own(own: Path, tmp_path: Path) -> None:
    run_dir, notes = tmp_path / "run", tmp_path / "notes.txt"
    config = compose([*overrides(notes), "data.kind='my_parts:Stripes'", "+data.widths=[1,3]"])
    assert check(config).notes == []
    config = check_outlets(config, run_dir)
    simulate(in_process_grid(config, run_dir), config, run_dir)
    told = json.loads((run_dir / "partition.json").read_text())
    assert told["class_names"] == ["down", "across"]
    assert sum(sum(client["counts"]) for client in told["clients"].values()) == 120
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == [0, 1, 2]
    assert all(line["fd_pooled"] > 0 and "fd_pooled_reference" in line and "fid" not in line for line in lines)
    assert notes.read_text().splitlines() == [f"{line['round']} {line['fd_pooled']}" for line in lines]
    assert from_yaml((run_dir / "config.yaml").read_text()) == config


def test_a_client_has_its_own_file_of_a_users_data_set(own: Path, tmp_path: Path) -> None:
    (tmp_path / "dim").write_text("9")
    data = compose(["data.kind='my_parts:Stripes'"]).data
    assert data.at(tmp_path / "dim").read("train", 0).images().max() == 9
    with pytest.raises(SettingError, match="needs images of each client's own: data=folder or npz, not my_parts:Stri"):
        compose(["data.kind='my_parts:Stripes'", "partition=own"])


def test_a_configuration_folder_of_the_users_own_names_them(own: Path, tmp_path: Path) -> None:
    """As the command reads it, in a process of its own that finds them on PYTHONPATH."""
    command = [FEDPHD, "--config-dir", str(own / "conf"), "data=stripes"]
    command += [*overrides(tmp_path / "notes.txt"), "data.widths=[2,2]", f"hydra.run.dir={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(own), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes.txt").read_text().count("\n") == 3
    assert from_yaml((tmp_path / "run" / "config.yaml").read_text()).data.widths == [2, 2]

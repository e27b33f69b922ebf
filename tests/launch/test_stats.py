"""`fedphd stats`: what it makes, finds and says."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedphd.common.config import compose
from fedphd.common.errors import SettingError
from fedphd.launch.commands import COMMANDS
from fedphd.launch.stats import stats
from fedphd.server.evaluation import Evaluator

QUICK = ["evaluation.classifier_epochs=1", "runtime.device=cpu", "data.limit=60"]


def test_what_it_made_a_run_finds(tmp_path: Path) -> None:
    config = compose([*QUICK, f"evaluation.cache={tmp_path / 'cache'}", "evaluation.images=30"])
    made, found = stats(config), stats(config)
    assert [(one.made, one.images) for one in made.splits.values()] == [(True, 60), (True, 297)]
    assert [(one.made, one.images) for one in found.splits.values()] == [(False, 60), (False, 297)]
    assert made.scores == found.scores and list(made.scores) == [30, 1000]

    run = Evaluator(config, tmp_path / "run")
    assert run.references(0) == made.scores[30]
    assert run.references(config.rounds) == made.scores[1000]
    files = {split: one.file for split, one in made.splits.items()}
    assert {split: str(kept.file) for split, kept in run.reused().items()} == files


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    COMMANDS["stats"]([*QUICK, f"evaluation.cache={tmp_path}", "evaluation.measures=[kid]", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["metric"], told["reference"]) == ("fd_classifier", "train")
    assert Path(told["splits"]["holdout"]["file"]).parent == tmp_path
    ends = ("fd_classifier_reference", "kd_classifier_reference", "fd_classifier_floor", "fd_classifier_floor_std")
    assert list(told["scores"]["1000"]) == list(ends)


def test_tables_where_nothing_is_held_out_or_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", train_x=rng.integers(0, 256, (60, 8, 8), np.uint8), train_y=np.arange(60) % 2)
    data = ["data=npz", f"data.path={tmp_path / 'a.npz'}", "data.holdout=0"]
    COMMANDS["stats"]([*QUICK, *data])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["train", "(reference)", "60", "64", "made"]
    assert lines[4].split()[0] == "200" and lines[4].split()[-1] == "n/a"
    assert [line for line in lines if line.startswith("train kept nowhere: set evaluation.cache")]
    assert not any("holdout" in line for line in lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz"]


def test_where_nothing_is_measured() -> None:
    with pytest.raises(SettingError, match=r"^evaluation\.extractor=null: measures nothing"):
        COMMANDS["stats"](["evaluation=grid"])

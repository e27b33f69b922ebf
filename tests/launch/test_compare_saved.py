"""Saved runs compare as their folders do."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from compared_runs import PROXIMAL, write_run

from fedphd.common.errors import SettingError
from fedphd.launch.commands import COMMANDS
from fedphd.launch.compare.budget import Budget
from fedphd.launch.compare.comparison import compare
from fedphd.launch.compare.cut import cut
from fedphd.launch.compare.page import render
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.saved import save_runs


def folders(where: Path) -> Path:
    def personal(line: dict[str, Any]) -> None:
        if "fd_classifier" in line:
            line |= {"fd_classifier_std": 2.5, "is_mean": 8.0, "is_std": 0.1}

    for seed in (0, 1):
        write_run(where / f"avg_{seed}", factor=0.5 + seed / 10, seed=seed, edges=0)
        write_run(where / f"phd_{seed}", factor=0.3, seed=seed, method="fedphd", change=personal)
    return where


def test_a_file_compares_as_its_folders(tmp_path: Path) -> None:
    runs, file = folders(tmp_path / "runs"), tmp_path / "results" / "arms.json"
    before = compare([runs])
    save_runs(before.runs, file)
    shutil.rmtree(runs)
    after = compare([file])
    budget = Budget.read("client_epochs", "equal")
    assert plain(after, [cut(after, budget)]) == plain(before, [cut(before, budget)])
    assert render(after, "Title", "a.svg") == render(before, "Title", "a.svg")
    save_runs(after.runs, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == file.read_text()


def test_a_file_is_small_and_has_a_line_for_each_run(tmp_path: Path) -> None:
    file = tmp_path / "arms.json"
    save_runs(compare([folders(tmp_path / "runs")]).runs, file)
    lines = file.read_text().splitlines()
    assert len(lines) == 1 + 4 + 1
    assert max(len(line) for line in lines[1:-1]) < 3000
    tree = json.loads(file.read_text())
    assert (tree["format"], tree["version"]) == ("fedphd runs", 1)
    assert tree["shared"]["rounds"] == "4" and "rounds" not in tree["runs"][0]["settings"]
    assert [one["round"] for one in tree["runs"][0]["standings"]] == [0, 2, 4]


def test_files_and_folders_compare_together(tmp_path: Path) -> None:
    save_runs(compare([folders(tmp_path / "runs")]).runs, tmp_path / "arms.json")
    write_run(tmp_path / "prox", method="fedprox", objective__terms=PROXIMAL)
    found = compare([tmp_path / "arms.json", tmp_path / "prox"])
    assert [row.name for row in found.configurations] == ["fedprox", "fedavg", "fedphd"]
    twice = compare([tmp_path / "runs", tmp_path / "arms.json"])
    assert len(twice.runs) == 4
    assert twice.left_out == [(name, f"{name} is the same run") for name in ("avg_0", "avg_1", "phd_0", "phd_1")]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", "holds no saved runs; use a file that `fedphd compare --save` wrote"),
        ('{"runs": []}', "holds no saved runs; use a file that `fedphd compare --save` wrote"),
        ('{"format": "fedphd runs", "version": 2}', "has runs in format 2, and this version reads 1; save them again"),
        (
            '{"format": "fedphd runs", "version": 1, "fedphd": "0", "shared": {}, "runs": []}',
            "runs: List should have at least 1 item after validation, not 0; save these runs again",
        ),
        (
            '{"format": "fedphd runs", "version": 1, "fedphd": "0", "shared": {}, "runs": [{"seed": "x"}]}',
            "runs.0.name: Field required; save these runs again",
        ),
    ],
)
def test_files_that_hold_no_saved_runs(content: str, error: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(SettingError, match=f"^RUN_FOLDER=.*a.json: {re.escape(error)}$"):
        compare([file])


def test_only_saved_runs_are_overwritten(tmp_path: Path) -> None:
    runs = compare([write_run(tmp_path / "run")]).runs
    other = tmp_path / "other.json"
    other.write_text('{"mine": 1}')
    with pytest.raises(SettingError, match=r"^--save=.*other.json: holds no saved runs"):
        save_runs(runs, other)
    assert other.read_text() == '{"mine": 1}'
    with pytest.raises(SettingError, match=r"^--save=.*runs.txt: must be a JSON file"):
        save_runs(runs, tmp_path / "runs.txt")
    save_runs(runs, tmp_path / "runs.json")
    save_runs(runs, tmp_path / "runs.json")
    with pytest.raises(SettingError, match=r"nowhere.json: there is no such file or folder"):
        compare([tmp_path / "nowhere.json"])


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "one")
    COMMANDS["compare"](["runs", "--save", "one.json"])
    printed = capsys.readouterr().out
    assert "page      runs/comparison.md" in printed and "saved     one.json" in printed
    COMMANDS["compare"](["one.json"])
    assert "page      comparison.md" in capsys.readouterr().out
    assert (tmp_path / "comparison.md").read_text() == (tmp_path / "runs" / "comparison.md").read_text()

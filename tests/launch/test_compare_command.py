"""`fedphd compare`, as a user calls it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from compared_runs import write_run

from fedphd.launch.commands import COMMANDS


def test_command(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    COMMANDS["compare"]([str(sweep / "0_fedavg_seed0"), str(sweep), "--title", "Trial"])
    printed = capsys.readouterr().out
    assert re.search(r"^fedavg +0, 1 +30.0 ± 14.1 +0.100 +64.0 ", printed, re.M)
    assert "left out: 10_fedprox_seed1: not finished: round 3 of 4" in printed
    assert "page      comparison.md" in printed
    assert "# Trial" in (tmp_path / "comparison.md").read_text()
    assert (tmp_path / "comparison.svg").exists()


def test_command_puts_the_page_of_one_sweep_into_its_folder(sweep: Path, tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path / "runs" / "one")
    COMMANDS["compare"]([str(tmp_path / "runs")])
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"one", "comparison.md", "comparison.svg"}


def test_command_prints_json(sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    COMMANDS["compare"]([str(sweep), "--json"])
    tree = json.loads(capsys.readouterr().out)
    assert tree["measure"] == "fd_classifier"
    assert tree["real_images"]["mean"] == 6.125
    assert [row["name"] for row in tree["configurations"]] == ["fedavg", "fedprox"]
    assert tree["configurations"][1]["settings"] == {
        "objective.terms.proximal.kind": "proximal",
        "objective.terms.proximal.weight": "0.1",
    }
    assert tree["left_out"] == [{"run": "10_fedprox_seed1", "reason": "not finished: round 3 of 4"}]
    assert not list(tmp_path.iterdir())
    assert not list(sweep.glob("*.md"))
    COMMANDS["compare"]([str(sweep), "--json", "--output", "page.md"])
    assert json.loads(capsys.readouterr().out) == tree
    assert (tmp_path / "page.md").exists()

"""Runs as they stood when they first were as good."""

import json
from pathlib import Path

import pytest
from compared_runs import cells, write_run

from fedphd.common.errors import SettingError
from fedphd.launch.commands import COMMANDS
from fedphd.launch.compare.comparison import compare
from fedphd.launch.compare.cut import cut
from fedphd.launch.compare.goal import Goal
from fedphd.launch.compare.page import render


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, measured after rounds 0, 2 and 4 over 200 images: 400, 133.3 and 80, and with FedPhD 0.9 of that."""
    folder = tmp_path_factory.mktemp("arms")
    write_run(folder / "avg", edges=0, evaluation__final_images=None)
    write_run(folder / "phd", factor=0.9, method="fedphd", evaluation__final_images=None)
    return folder


def test_what_was_sent_until_then(arms: Path) -> None:
    found = cut(compare([arms]), Goal.read("120.5"))
    assert found.title == "When fd_classifier first was 120 or less"
    table = cells(found.comparison)
    assert (table["fedphd"]["fd_classifier ↓"], table["fedavg"]["fd_classifier ↓"]) == ("120", "80.0")
    assert (table["fedphd"]["client epochs"], table["fedavg"]["client epochs"]) == ("40.0", "40.0")  # of 80, of 40
    assert (table["fedphd"]["all hops (MB)"], table["fedavg"]["all hops (MB)"]) == ("35.2", "32.0")


def test_who_never_was_as_good_is_left_out(arms: Path) -> None:
    found = cut(compare([arms]), Goal.read("75"))
    assert [row.name for row in found.comparison.configurations] == ["fedphd"]
    [(name, why)] = found.comparison.left_out
    assert name.endswith("avg") and why == "it never was as good as 75.0"
    assert "first evaluation that was as good" in render(compare([arms]), "", None, [found])
    with pytest.raises(SettingError, match=r"^--at-quality=1\.0: no run ever was as good; use a larger number$"):
        cut(compare([arms]), Goal.read("1"))


@pytest.mark.parametrize("given", ["good", "0", "-3", "nan", "inf"])
def test_bad_goals(given: str) -> None:
    with pytest.raises(SettingError, match=rf"^--at-quality={given}: must be a value of the quality measure above 0"):
        Goal.read(given)


def test_from_the_command(arms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    COMMANDS["compare"]([str(arms), "--at-quality", "125", "--json"])
    [one] = json.loads(capsys.readouterr().out)["cuts"]
    assert (one["of"], one["limit"], len(one["configurations"])) == ("quality", 125, 2)

"""Runs at equal client epochs or image passes."""

import json
from pathlib import Path
from typing import Any

import pytest
from compared_runs import cells, write_run

from fedphd.common.errors import SettingError
from fedphd.launch.commands import COMMANDS
from fedphd.launch.compare.budget import Budget
from fedphd.launch.compare.comparison import compare
from fedphd.launch.compare.cut import cut
from fedphd.launch.compare.page import render
from fedphd.launch.compare.plain import plain


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flat FedAvg makes 10 client epochs a round, 40 in all; FedPhD 20, so 80. All evaluations are over 200 images."""
    folder = tmp_path_factory.mktemp("arms")
    write_run(folder / "avg", edges=0, evaluation__final_images=None)
    write_run(folder / "phd", factor=0.9, method="fedphd", evaluation__final_images=None)
    return folder


def forget(line: dict[str, Any]) -> None:
    """Be a line of version 0.1.0."""
    del line["client_epochs"], line["image_passes"]


def test_equal_is_what_all_have_reached(arms: Path) -> None:
    found = cut(compare([arms]), Budget.read("client_epochs", "equal"))
    assert (found.limit, found.title) == (40, "At 40 client epochs")
    table = cells(found.comparison)
    # FedPhD after round 2 of 4, at 0.9 x 133.333; FedAvg at its end.
    assert (table["fedphd"]["fd_classifier ↓"], table["fedavg"]["fd_classifier ↓"]) == ("120", "80.0")
    assert table["fedphd"]["client epochs"] == table["fedavg"]["client epochs"] == "40.0"
    assert (table["fedphd"]["all hops (MB)"], table["fedavg"]["all hops (MB)"]) == ("35.2", "32.0")
    [relation] = plain(compare([arms]), [found])["cuts"][0]["relations"]
    assert (relation["of"], relation["shares"]["client_epochs"]) == ("fedphd", 1)
    assert relation["difference"]["mean"] == pytest.approx(40, abs=0.001)


def test_the_last_evaluation_within_the_budget_counts(arms: Path) -> None:
    def rounds(given: str) -> list[float]:
        found = cut(compare([arms]), Budget.read("image_passes", given))
        return [row["client_epochs"]["mean"] for row in plain(found.comparison)["configurations"]]

    # FedAvg was measured after 0, 3,000 and 6,000 image passes, FedPhD after 0, 6,000 and 12,000.
    assert rounds("5999") == [20, 0]
    assert rounds("6000") == [40, 40]
    assert rounds("equal") == [40, 40]
    assert rounds("100000") == [40, 80]


def test_what_is_unknown_is_left_out(arms: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "old", method="moon", change=forget, evaluation__final_images=None)
    found = cut(compare([arms, tmp_path]), Budget.read("client_epochs", "equal"))
    assert [row.name for row in found.comparison.configurations] == ["fedavg", "fedphd"]
    [(name, why)] = found.comparison.left_out
    assert name.endswith("old") and why == "no evaluation of it is known to be within 40 client epochs"
    page = render(compare([arms, tmp_path]), "", None, [found])
    assert "## At 40 client epochs" in page and "Left out:" in page
    with pytest.raises(SettingError, match=r"^--at-epochs=equal: no run tells its client epochs; use --at-images"):
        cut(compare([tmp_path]), Budget.read("client_epochs", "equal"))
    with pytest.raises(SettingError, match=r"^--at-epochs=90: no evaluation is known .* larger number.*--at-images"):
        cut(compare([tmp_path]), Budget.read("client_epochs", "90"))
    # Image passes follow from the configuration.
    assert cut(compare([tmp_path]), Budget.read("image_passes", "equal")).limit == 12_000


def test_who_asked_for_images_is_not_told_to_ask_for_them(tmp_path: Path) -> None:
    write_run(tmp_path / "old", change=forget, training__epochs=None)
    with pytest.raises(SettingError, match=r"^--at-images=equal: no run tells its image passes; leave the option out$"):
        cut(compare([tmp_path]), Budget.read("image_passes", "equal"))


def test_bad_budgets() -> None:
    with pytest.raises(SettingError, match=r"^--at-images=many: must be a whole number, or equal"):
        Budget.read("image_passes", "many")


def test_command(arms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    COMMANDS["compare"]([str(arms), "--output", "page.md", "--at-epochs", "equal", "--at-images", "6000"])
    printed = capsys.readouterr().out
    assert "At 40 client epochs" in printed and "At 6000 image passes" in printed
    assert "### In relation to fedavg (flat, E = 1)" in (tmp_path / "page.md").read_text()
    COMMANDS["compare"]([str(arms), "--json", "--at-epochs", "20"])
    [found] = json.loads(capsys.readouterr().out)["cuts"]
    assert (found["of"], found["limit"]) == ("client_epochs", 20)
    assert "shared" not in found

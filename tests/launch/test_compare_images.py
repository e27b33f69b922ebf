"""Runs whose last evaluation is over more images than those before: 1,000 after round 4, 200 after rounds 0 and 2.

A Fréchet distance is lower over more images, so none of the former may stand beside one of the latter.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from compared_runs import Change, cells, write_run

from fedphd.common.errors import SettingError
from fedphd.launch.compare.budget import Budget
from fedphd.launch.compare.comparison import compare
from fedphd.launch.compare.cut import cut
from fedphd.launch.compare.goal import Goal
from fedphd.launch.compare.page import render
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.saved import save_runs

FLOOR = "real images, as many as generated"


def floors(*last: int) -> Change:
    """Add the floor: 0.14 after the `last` rounds, and 0.8 otherwise."""

    def add(line: dict[str, Any]) -> None:
        if "fd_classifier" in line:
            line["fd_classifier_floor"] = 0.14 if line["round"] in last else 0.8

    return add


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flat FedAvg makes 10 client epochs a round, 40 in all; FedPhD 20, so 80."""
    folder = tmp_path_factory.mktemp("arms")
    write_run(folder / "avg", edges=0, change=floors(4))
    write_run(folder / "phd", factor=0.9, method="fedphd", change=floors(4))
    return folder


def test_a_run_at_its_end_does_not_stand_beside_one_before_it(arms: Path) -> None:
    found = cut(compare([arms]), Budget.read("client_epochs", "40"))
    table = cells(found.comparison)
    # FedAvg had 40 at its end, over 1,000 images; its last evaluation over 200 is that of round 2.
    assert (table["fedavg"]["fd_classifier ↓"], table["fedphd"]["fd_classifier ↓"]) == ("133", "120")
    assert (table["fedavg"]["client epochs"], table["fedphd"]["client epochs"]) == ("20.0", "40.0")
    assert table[FLOOR]["fd_classifier ↓"] == "0.800"
    note = (
        "Quality is over 200 images in all rows; evaluations after a last round, over 1000, do not compare and do not "
        "count here."
    )
    assert note in found.notes
    assert note in render(compare([arms]), "", None, [found])
    assert plain(compare([arms]), [found])["cuts"][0]["images"] == 200


def test_equal_is_what_all_have_reached_over_as_many_images(arms: Path) -> None:
    found = cut(compare([arms]), Budget.read("client_epochs", "equal"))
    assert found.limit == 20  # rather than 40, within which FedPhD would have twice as much as FedAvg
    assert {run.final.images for run in found.comparison.runs} == {200}


def test_runs_that_are_all_at_their_end_keep_their_last_evaluation(arms: Path) -> None:
    found = cut(compare([arms]), Budget.read("client_epochs", "100"))
    table = cells(found.comparison)
    assert (table["fedavg"]["fd_classifier ↓"], table["fedphd"]["fd_classifier ↓"]) == ("80.0", "72.0")
    assert table[FLOOR]["fd_classifier ↓"] == "0.140"
    assert (found.images, found.comparison.left_out) == (1000, [])
    assert any("over 1000 images in all rows, as each run is at its end" in one for one in found.notes)


def test_a_quality_is_not_reached_by_the_larger_draw_alone(arms: Path) -> None:
    found = cut(compare([arms]), Goal.read("125"))
    assert [row.name for row in found.comparison.configurations] == ["fedphd"]
    assert (found.images, found.comparison.left_out[0][1]) == (200, "over 200 images, it never was as good as 125")


def test_nothing_is_said_of_images_where_there_is_one_number(tmp_path: Path) -> None:
    write_run(tmp_path / "a", evaluation__final_images=200)
    assert len(cut(compare([tmp_path]), Goal.read("125")).notes) == 1


def test_a_round_that_was_the_last_until_a_resume_is_known_by_its_floor(tmp_path: Path) -> None:
    write_run(tmp_path / "a", change=floors(2, 4))
    assert [point["images"] for point in plain(compare([tmp_path]))["configurations"][0]["curve"]] == [200, 1000, 1000]


def test_saved_runs_know_it_too(arms: Path, tmp_path: Path) -> None:
    save_runs(compare([arms]).runs, tmp_path / "arms.json")
    assert '"images":' not in (tmp_path / "arms.json").read_text()  # it follows from their settings
    curve = plain(compare([tmp_path / "arms.json"]))["configurations"][0]["curve"]
    assert [point["images"] for point in curve] == [200, 200, 1000]


def test_seeds_measured_over_other_images_are_told(tmp_path: Path) -> None:
    def forget(line: dict[str, Any]) -> None:
        floors(4)(line)
        if line["round"] == 4:
            for key in [key for key in line if key.startswith("fd_classifier")]:
                del line[key]

    write_run(tmp_path / "a", seed=0, change=floors(4))
    write_run(tmp_path / "b", seed=1, change=forget)
    found = compare([tmp_path])
    assert "- Quality is over different numbers of images (1000 and 200)" in render(found, "", None)
    assert FLOOR not in cells(found)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FedAvg ends at 80, 80 and 160; FedPhD at 72 with all seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    for seed in range(3):
        same: dict[str, Any] = {"seed": seed, "evaluation__final_images": None}
        write_run(folder / f"avg_{seed}", edges=0, factor=2.0 if seed == 2 else 1.0, **same)
        write_run(folder / f"phd_{seed}", factor=0.9, method="fedphd", **same)
    return folder


def test_a_row_of_which_a_seed_never_got_there_has_no_means(seeds: Path) -> None:
    comparison = compare([seeds])
    found = cut(comparison, Goal.read("85"))
    table = cells(found.comparison)
    assert (table["fedavg"]["seeds"], table["fedphd"]["seeds"]) == ("2 of 3: 0, 1", "0, 1, 2")
    assert {table["fedavg"][key] for key in table["fedavg"]} == {"fedavg", "2 of 3: 0, 1", "n/a"}
    assert found.comparison.left_out == [("avg_2", "it never was as good as 85.0")]
    page = render(comparison, "", None, [found])
    assert "A row of which a seed has no such moment says how many have one." in page
    # Nor is it the reference of the others, or set in relation to one.
    [tree] = json.loads(json.dumps(plain(comparison, [found])))["cuts"]
    assert tree["relations"] == []
    row = next(one for one in tree["configurations"] if one["name"] == "fedavg")
    assert (row["seeds"], row["absent_seeds"], row["bytes"], row["curve"]) == ([0, 1], [2], None, [])
    of_phd = cut(compare([seeds], ["fedphd"]), Goal.read("85"))
    assert plain(compare([seeds]), [of_phd])["cuts"][0]["relations"] == []


def test_a_cut_of_rows_that_are_all_short_of_seeds_is_shown(seeds: Path) -> None:
    found = cut(compare(sorted(seeds.glob("avg_*"))), Goal.read("85"))
    assert cells(found.comparison)["fedavg"]["seeds"] == "2 of 3: 0, 1"
    with pytest.raises(SettingError, match="no run ever was as good"):
        cut(compare(sorted(seeds.glob("avg_*"))), Goal.read("75"))

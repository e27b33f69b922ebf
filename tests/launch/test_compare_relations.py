"""Rows in relation to a reference: pairs of seeds, intervals, shares of costs."""

from pathlib import Path
from typing import Any

import pytest
from compared_runs import by_name, cells, write_run

from fedphd.common.errors import SettingError
from fedphd.launch.compare.comparison import Comparison, compare
from fedphd.launch.compare.intervals import Interval, paired
from fedphd.launch.compare.page import render
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.relation import relation_tables


def relations(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Give the cells of the first reference's table by row and column."""
    table = relation_tables(comparison)[0]
    return {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows}


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flat FedAvg at 40, 48, 56; FedPhD at 32, 36.8, 41.6; FedProx with other seeds."""
    folder = tmp_path_factory.mktemp("arms")
    for seed in range(3):
        write_run(folder / f"phd_{seed}", factor=0.4 + 0.06 * seed, seed=seed, method="fedphd")
        write_run(folder / f"avg_{seed}", factor=0.5 + 0.1 * seed, seed=seed, edges=0)
    write_run(folder / "prox_2", factor=0.35, seed=2, method="fedprox")
    write_run(folder / "moon_9", seed=9, method="moon")
    return folder


def test_students_interval_by_hand() -> None:
    # n = 3, sd 1: 4.3027 is the 97.5 % point of Student's t with 2 degrees of freedom.
    found = Interval.of([1.0, 2.0, 3.0])
    half = 4.302653 / 3**0.5
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half))
    assert Interval.of([5.0, 5.0]) == Interval(5, 5, 5)
    assert Interval.of([7.0]) == Interval(7, None, None)


def test_seeds_are_paired(arms: Path) -> None:
    rows = {row.name: row for row in compare([arms]).configurations}
    found = paired(rows["fedphd"], rows["fedavg"])
    assert found is not None
    # -8, -11.2 and -14.4: sd 3.2. Unpaired, with sd 4.8 and 8, the interval would hold zero.
    half = 4.302653 * 3.2 / 3**0.5
    assert found.seeds == (0, 1, 2)
    assert (found.absolute.mean, found.absolute.low, found.absolute.high) == pytest.approx(
        (-11.2, -11.2 - half, -11.2 + half)
    )
    assert found.per_cent is not None
    assert found.per_cent.mean == pytest.approx(100 * ((0.8 * (36.8 / 48) * (41.6 / 56)) ** (1 / 3) - 1))
    # ln 0.8, ln 0.76667, ln 0.74286: mean -0.26203, sd 0.03719.
    assert (found.per_cent.low, found.per_cent.high) == pytest.approx((-29.84, -15.60), abs=0.01)
    one = paired(rows["fedprox"], rows["fedavg"])
    assert one is not None
    assert (one.seeds, one.absolute) == ((2,), Interval(pytest.approx(28 - 56), None, None))
    assert paired(rows["moon"], rows["fedavg"]) is None


def test_a_measure_that_is_not_positive_has_no_ratio(tmp_path: Path) -> None:
    write_run(tmp_path / "a", edges=0, factor=-0.01)
    write_run(tmp_path / "b", method="fedphd")
    row = relations(compare([tmp_path]))["fedphd"]
    assert (row["difference [95 %]"], row["in per cent [95 %]"]) == ("+80.8", "n/a")


def test_flat_fedavg_is_the_reference(arms: Path) -> None:
    comparison = compare([arms])
    assert [row.name for row in comparison.references] == ["fedavg"]
    assert relation_tables(comparison)[0].title == "In relation to fedavg (flat, E = 1)"
    rows = relations(comparison)
    assert rows["fedphd"] == {
        "configuration": "fedphd",
        "seeds": "3",
        "difference [95 %]": "-11.2 [-19.1, -3.25]",
        "in per cent [95 %]": "-23.1 [-29.8, -15.6]",
        # 6.4 MB on the backbone; FedAvg's 10 clients send 4 x 10 x 2 x 0.4 = 32 MB to the root itself.
        "at the root": "20.0 %",
        "all hops": "220.0 %",
        "forward MACs x image passes": "200.0 %",
        "client epochs": "200.0 %",
    }
    assert rows["fedprox"]["difference [95 %]"] == "-28.0"
    assert (rows["moon"]["seeds"], rows["moon"]["difference [95 %]"]) == ("0", "n/a")


def test_without_flat_fedavg_there_is_another_reference(arms: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "avg")
    hierarchical = compare([arms / "phd_0", tmp_path])
    assert [row.name for row in hierarchical.references] == ["fedavg"]
    assert relation_tables(hierarchical)[0].title == "In relation to fedavg (with edges, r_g = 2, E = 1)"
    assert [row.name for row in compare([arms / "prox_2", arms / "phd_2"]).references] == ["fedprox"]
    assert relation_tables(compare([arms / "prox_2"])) == []


def test_references_are_named(arms: Path) -> None:
    comparison = compare([arms], ["fedphd", "fedprox"])
    assert [table.title.split()[3] for table in relation_tables(comparison)] == ["fedphd", "fedprox"]
    assert "fedphd" not in relations(comparison)
    with pytest.raises(SettingError, match=r"^--reference=fedprx: there is no such .* did you mean fedprox"):
        compare([arms], ["fedprx"])


def test_relations_as_json(arms: Path) -> None:
    tree = plain(compare([arms]))
    assert tree["confidence"] == 0.95
    found = {one["of"]: one for one in tree["relations"]}
    assert found["fedphd"]["reference"] == "fedavg"
    assert found["fedphd"]["seeds"] == [0, 1, 2]
    assert found["fedphd"]["difference"]["mean"] == pytest.approx(-11.2)
    assert found["fedphd"]["per_cent"]["low"] == pytest.approx(-29.84, abs=0.01)
    assert found["fedphd"]["shares"] == {
        "root_bytes": pytest.approx(0.2),
        "bytes": pytest.approx(2.2),
        "forward_macs": 2,
        "client_epochs": 2,
    }
    assert (found["moon"]["difference"], found["moon"]["seeds"]) == (None, [])
    rows = by_name(compare([arms]))
    assert (rows["fedavg"]["root_bytes"]["mean"], rows["fedphd"]["root_bytes"]["mean"]) == (32_000_000, 6_400_000)


def test_page_has_the_relations(arms: Path) -> None:
    page = render(compare([arms]), "", None)
    assert "## In relation to fedavg (flat, E = 1)\n\n| configuration | seeds |" in page
    assert "| fedphd | 3 | -11.2 \\[-19.1, -3.25\\] |" in page
    assert "- in per cent: The same of the ratios" in page


def test_pruned_rounds_count_with_the_pruned_network(tmp_path: Path) -> None:
    """A line tells of the network after its round: the pruning of round 2 counts from round 3 on."""

    def prune(line: dict[str, Any]) -> None:
        if line["round"] >= 2:
            line["macs"] = 5_000_000

    write_run(tmp_path / "a", change=prune)
    # 3,000 image passes in each round.
    assert by_name(compare([tmp_path]))["fedavg"]["forward_macs"]["mean"] == 2 * 3000 * 8e6 + 2 * 3000 * 5e6


def test_further_measures_are_columns(tmp_path: Path) -> None:
    def add(line: dict[str, Any]) -> None:
        if "fd_classifier" in line:
            line |= {"kid": -0.25, "kid_std": 0.125, "is_mean": 8.0, "is_std": 0.5}

    write_run(tmp_path / "a", change=add)
    write_run(tmp_path / "b", method="moon")
    comparison = compare([tmp_path])
    table = cells(comparison)
    assert list(table["fedavg"])[2:5] == ["fd_classifier ↓", "kid", "IS ↑"]
    assert (table["fedavg"]["kid"], table["moon"]["kid"]) == ("-0.250", "n/a")
    assert by_name(comparison)["fedavg"]["kid"]["values"] == [-0.25]


def test_floor_of_as_many_real_images(tmp_path: Path) -> None:
    def floor(value: float) -> Any:
        def add(line: dict[str, Any]) -> None:
            if "fd_classifier" in line:
                line |= {"fd_classifier_floor": value, "fd_classifier_floor_std": 0.5}

        return add

    write_run(tmp_path / "a", seed=0, change=floor(3.0))
    write_run(tmp_path / "b", seed=1, change=floor(4.0))
    comparison = compare([tmp_path])
    assert comparison.measure == "fd_classifier"
    assert cells(comparison)["real images, as many as generated"]["fd_classifier ↓"] == "3.50 ± 0.50"
    assert plain(comparison)["floor"] == {"mean": 3.5, "std": 0.5}
    assert "std over clients" not in cells(comparison)["fedavg"]
    assert "real images, as many as generated: The floor" in render(comparison, "", None)

"""Means, spreads and curves of runs side by side, by hand."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compared_runs import Change, by_name, cells, write_run

from fedphd.common.errors import SettingError
from fedphd.launch.compare.comparison import Comparison, compare
from fedphd.launch.compare.numbers import BYTES, Spread, pick_unit
from fedphd.launch.compare.page import render
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.plot import draw_plot
from fedphd.launch.compare.settings import settings_of
from fedphd.launch.compare.table import plus_minus
from fedphd.launch.report import write_report


def test_means_and_spreads_by_hand(comparison: Comparison) -> None:
    rows = by_name(comparison)
    assert list(rows) == ["fedavg", "fedprox"]
    fedavg = rows["fedavg"]
    assert (fedavg["seeds"], fedavg["runs"]) == ([0, 1], ["0_fedavg_seed0", "1_fedavg_seed1"])
    # 80 x 0.5 = 40 and 80 x 0.25 = 20: mean 30; the sample standard deviation of two is their difference / sqrt 2.
    assert fedavg["quality"]["values"] == [40, 20]
    assert fedavg["quality"]["mean"] == 30
    assert fedavg["quality"]["std"] == pytest.approx(20 / math.sqrt(2))
    assert (fedavg["quality"]["min"], fedavg["quality"]["max"]) == (20, 40)
    assert fedavg["client_loss"]["values"] == [0.1, 0.1]  # 0.5 / (1 + 4)
    assert fedavg["access_bytes"]["mean"] == 64_000_000
    assert fedavg["backbone_bytes"]["mean"] == 6_400_000
    assert fedavg["bytes"]["mean"] == 70_400_000
    assert (fedavg["parameters"]["mean"], fedavg["macs"]["mean"]) == (100_000, 8_000_000)
    assert fedavg["seconds"]["mean"] == 5 * 8.25
    assert (fedavg["client_epochs"]["mean"], fedavg["image_passes"]["mean"]) == (80, 12_000)
    assert fedavg["forward_macs"]["mean"] == 12_000 * 8_000_000
    assert rows["fedprox"]["quality"] == {"mean": 32, "std": None, "min": 32, "max": 32, "values": [32]}


def test_table(comparison: Comparison) -> None:
    table = cells(comparison)
    assert table["fedavg"] == {
        "configuration": "fedavg",
        "seeds": "0, 1",
        "fd_classifier ↓": "30.0 ± 14.1",
        "client loss": "0.100",
        "access (MB)": "64.0",
        "backbone (MB)": "6.40",
        "all hops (MB)": "70.4",
        "N (M)": "17.6",  # 70.4 MB of 4 bytes each
        "parameters (M)": "0.100",
        "MACs (M)": "8.00",
        "client epochs": "80.0",
        "image passes (k)": "12.0",
        "forward MACs x image passes (G)": "96.0",
        "time (s)": "41.2",
    }
    assert table["fedprox"]["fd_classifier ↓"] == "32.0"
    assert table["real held-out images"]["fd_classifier ↓"] == "6.12"
    assert table["real held-out images"]["access (MB)"] == ""


@pytest.mark.parametrize(
    ("values", "text"),
    [((0.05, 0.07), "0.0600 ± 0.0141"), ((1000, 3000), "2000 ± 1414"), ((5, 5), "5.00"), ((7,), "7.00")],
)
def test_spread_as_text(values: tuple[float, ...], text: str) -> None:
    assert plus_minus(Spread(values)) == text


def test_one_unit_for_a_column() -> None:
    assert pick_unit([2e9, 5e9], BYTES) == (1e9, "GB")
    assert pick_unit([2e8, 5e9], BYTES) == (1e6, "MB")
    assert pick_unit([0, 5e9], BYTES) == (1e9, "GB")  # a flat topology has no backbone
    assert pick_unit([0], BYTES) == (1e6, "MB")


def test_curve_by_hand(comparison: Comparison) -> None:
    curve = by_name(comparison)["fedavg"]["curve"]
    assert [point["round"] for point in curve] == [0, 2, 4]
    assert [point["bytes"] for point in curve] == [0, 35_200_000, 70_400_000]
    # 0.375 of 400, 133.333 and 80.
    assert [point["quality"]["mean"] for point in curve] == pytest.approx([150, 50, 30], abs=0.001)
    assert (curve[1]["quality"]["min"], curve[1]["quality"]["max"]) == pytest.approx((33.333, 66.667), abs=0.001)


def test_rounds_that_are_not_measured_with_every_seed_are_no_points(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1, change=lambda line: line["round"] == 2 and line.pop("fd_classifier"))
    assert [point["round"] for point in by_name(compare([tmp_path]))["fedavg"]["curve"]] == [0, 4]


def test_keys_that_old_runs_lack(tmp_path: Path) -> None:
    def age(line: dict[str, Any]) -> None:
        later = {"macs", "client_epochs", "image_passes"}
        for key in [key for key in line if key.endswith("_parameters") or key in later]:
            del line[key]

    write_run(tmp_path / "new", rounds=4, method="fedprox")
    write_run(tmp_path / "old", change=age)
    table = cells(compare([tmp_path]))
    # 70.4 MB of 4 bytes each.
    assert (table["fedprox"]["N (M)"], table["fedavg"]["N (M)"]) == ("17.6", "unknown")
    assert (table["fedprox"]["MACs (M)"], table["fedavg"]["MACs (M)"]) == ("8.00", "unknown")
    assert (table["fedprox"]["client epochs"], table["fedavg"]["client epochs"]) == ("80.0", "unknown")
    # Image passes follow from what old runs wrote, since each made training.epochs passes; here without MACs.
    assert table["fedprox"]["image passes (k)"] == table["fedavg"]["image passes (k)"] == "12.0"
    assert table["fedavg"]["forward MACs x image passes (G)"] == "unknown"


def test_mean_over_seeds_needs_every_seed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1, change=lambda line: line.pop("fd_classifier", None))
    row = by_name(compare([tmp_path]))["fedavg"]
    assert "quality" not in row  # rather than one seed's as the mean of two
    assert row["curve"] == []


def test_quality_of_clients_is_marked(tmp_path: Path) -> None:
    def personal(line: dict[str, Any]) -> None:
        if "fd_classifier" in line:
            line |= {"fd_classifier_std": 2.5, "fd_classifier/client-3": 99.0}

    write_run(tmp_path / "a", method="feddiffuse_udec", change=personal)
    write_run(tmp_path / "b")
    comparison = compare([tmp_path])
    table = cells(comparison)
    assert (table["feddiffuse_udec"]["fd_classifier ↓"], table["fedavg"]["fd_classifier ↓"]) == ("80.0 †", "80.0")
    assert (table["feddiffuse_udec"]["std over clients"], table["fedavg"]["std over clients"]) == ("2.50", "n/a")
    assert "- † Mean over the clients' own models" in render(comparison, "", None)


def test_real_images_have_one_value_for_each_seed(tmp_path: Path) -> None:
    def real(value: float) -> Change:
        return lambda line: line.update({key: value for key in line if key.endswith("_reference")})

    write_run(tmp_path / "a", seed=0, change=real(6.0))
    write_run(tmp_path / "b", seed=1, change=real(8.0))
    write_run(tmp_path / "c", seed=0, change=real(6.0), method="fedprox")
    write_run(tmp_path / "d", seed=0, change=real(6.0), method="moon")
    # Seeds 0 and 1: (6 + 8) / 2, however many runs have seed 0.
    assert cells(compare([tmp_path]))["real held-out images"]["fd_classifier ↓"] == "7.00 ± 1.41"


def test_real_images_are_those_of_the_split_that_is_not_the_reference(tmp_path: Path, comparison: Comparison) -> None:
    write_run(tmp_path / "a", evaluation__reference="holdout")
    against_holdout = compare([tmp_path])
    assert cells(against_holdout)["real training images"]["fd_classifier ↓"] == "6.12"
    assert "real held-out images" not in cells(against_holdout)
    assert "- real training images: How far all of these are from the reference" in render(against_holdout, "", None)
    assert plain(against_holdout)["real_images_are"] == "real training images"
    assert plain(comparison)["real_images_are"] == "real held-out images"


def test_left_out_and_uneven_seeds_are_told(comparison: Comparison) -> None:
    assert comparison.left_out == [("10_fedprox_seed1", "not finished: round 3 of 4")]
    page = render(comparison, "", None)
    assert "| 10_fedprox_seed1 | not finished: round 3 of 4 |" in page
    assert "Not all rows have the same seeds" in page


def test_newer_of_two_equal_runs_counts(tmp_path: Path) -> None:
    old = write_run(tmp_path / "z_old", factor=0.5)
    write_run(tmp_path / "a_new", factor=0.25, runtime__parallel_clients=7)
    ledger = old / "ledger.jsonl"
    ledger.write_text(re.sub(r'"time": [\d.]+', '"time": 1000.0', ledger.read_text()))
    comparison = compare([tmp_path])
    assert by_name(comparison)["fedavg"]["quality"]["values"] == [20]
    assert comparison.left_out == [("z_old", "the newer a_new has the same configuration and seed")]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"evaluation__images": 20}, "evaluation.images=20 and 200: "),
        ({"evaluation__real_images": None}, "evaluation.real_images=10000 and null: "),
        ({"evaluation__classifier_epochs": 2}, "evaluation.classifier_epochs=2 and 30: "),
        ({"evaluation__extractor": "own:net"}, "evaluation.extractor=fd_classifier and own:net: "),
        ({"data__kind": "npz", "data__path": "/images/a.npz"}, "data.kind=digits and npz: "),
    ],
)
def test_quality_that_was_measured_differently_is_refused(
    tmp_path: Path, settings: dict[str, object], error: str
) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", seed=1, **settings)
    with pytest.raises(
        SettingError, match=f"^{re.escape(error)}.*in a.*in b|^{re.escape(error)}.*in b.*in a"
    ) as caught:
        compare([tmp_path])
    assert "compare them apart" in str(caught.value)


def test_runs_of_which_clients_were_asked_other_things_compare(tmp_path: Path) -> None:
    """... of their own images, which changes neither model nor measure."""
    write_run(tmp_path / "a", seed=0)
    asked = {"own": True, "own_images": 9, "memorisation": 5, "memorisation_features": "own:net"}
    write_run(tmp_path / "b", seed=1, **{f"evaluation__{key}": value for key, value in asked.items()})
    assert [row["seeds"] for row in by_name(compare([tmp_path])).values()] == [[0, 1]]


def test_an_older_run_without_newer_settings_compares(tmp_path: Path) -> None:
    write_run(tmp_path / "new", seed=0)
    write_run(tmp_path / "old", seed=1)
    file = tmp_path / "old" / "config.yaml"
    tree = yaml.safe_load(file.read_text())
    del tree["sampler"]["guidance"], tree["model"]["classes"], tree["model"]["adapters"], tree["evaluation"]["own"]
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    assert [row["seeds"] for row in by_name(compare([tmp_path])).values()] == [[0, 1]]
    tree["sampler"]["guidance"] = 3.0
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    with pytest.raises(SettingError, match=r"^sampler\.guidance=1\.0 and 3\.0: "):
        compare([tmp_path])


def test_unmeasured_runs_stand_beside_measured_ones(tmp_path: Path) -> None:
    def unmeasured(line: dict[str, Any]) -> None:
        for key in [key for key in line if key.startswith("fd_")]:
            del line[key]

    write_run(tmp_path / "a")
    write_run(tmp_path / "b", change=unmeasured, method="moon", evaluation__extractor=None, evaluation__images=0)
    assert cells(compare([tmp_path]))["moon"]["fd_classifier ↓"] == "n/a"
    comparison = compare([tmp_path / "b"])
    assert draw_plot(comparison) is None
    assert "quality" not in by_name(comparison)["moon"]


def test_a_run_of_another_version_is_still_read(tmp_path: Path) -> None:
    """As of 0.1.0, whose group of prunings was called structure."""
    write_run(tmp_path / "old")
    file = tmp_path / "old" / "config.yaml"
    tree = yaml.safe_load(file.read_text())
    tree["structure"] = {**tree.pop("pruning"), "kind": "dense"}
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    assert settings_of(tree)["structure.kind"] == "dense"
    assert list(by_name(compare([tmp_path]))) == ["fedavg"]
    assert write_report(tmp_path / "old").is_file()

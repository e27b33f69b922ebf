"""The comparison is made from run folders alone, so the tests write such folders with the run's own writers.

A run of `write_run` takes 10 clients, 2 edges and 2 edge rounds through 4 root rounds. Each round, 20 messages on the
access hop and 2 on the backbone carry 100,000 parameters (400,000 bytes) each way: in all 4 x 20 x 2 x 0.4 = 64 MB and
4 x 2 x 2 x 0.4 = 6.4 MB. Its quality is 400 / (1 + round) times its factor: 400, 133.333, 80 in rounds 0, 2 and 4.
"""

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_writer import RunWriter

from fedphd.common.errors import SettingError
from fedphd.common.run.events import Fail, Finish
from fedphd.launch.commands import COMMANDS
from fedphd.launch.compare.comparison import Comparison, compare
from fedphd.launch.compare.folders import find_runs, short_names
from fedphd.launch.compare.numbers import BYTES, Spread, pick_unit
from fedphd.launch.compare.page import END, START, render, write_page
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.plot import draw_plot
from fedphd.launch.compare.settings import deviations, labels, settings_of, shared, usual
from fedphd.launch.compare.table import main_table, plus_minus
from fedphd.launch.report import drawing, write_report

Change = Callable[[dict[str, Any]], None]
PROXIMAL = {"proximal": {"kind": "proximal", "weight": 0.1}}


def write_run(
    folder: Path,
    *,
    factor: float = 1.0,
    rounds: int = 4,
    change: Change = lambda line: None,
    **settings: object,
) -> Path:
    """Write a finished run of 4 planned root rounds; an unfinished one, if `rounds` is less."""
    folder.mkdir(parents=True)
    writer = RunWriter(folder, prune_after=None, every=2, planned=4)
    writer.start()
    for root_round in range(1, rounds + 1):
        writer.round(root_round)
    if rounds == 4:
        writer.ledger.write(Finish(seconds=60.0, model="0" * 64))

    def scale(line: dict[str, Any]) -> None:
        if "fd_classifier" in line:
            line["fd_classifier"] *= factor
        change(line)

    rewrite(folder, scale)
    tree = yaml.safe_load((folder / "config.yaml").read_text())
    for key, value in settings.items():
        *path, last = key.split("__")
        inner = tree
        for part in path:
            inner = inner[part]
        inner[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return folder


def rewrite(folder: Path, change: Change) -> None:
    """Change each line of a run's metrics."""
    file = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def by_name(comparison: Comparison) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in plain(comparison)["configurations"]}


def cells(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Give the table's cells by row and column."""
    table = main_table(comparison)
    return {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `fedphd -m method=fedavg,fedprox seed=0,1` leaves it; the fourth run was killed."""
    folder = tmp_path_factory.mktemp("runs") / "sweep"
    write_run(folder / "0_fedavg_seed0", factor=0.5, seed=0)
    write_run(folder / "1_fedavg_seed1", factor=0.25, seed=1)
    write_run(folder / "2_fedprox_seed0", factor=0.4, seed=0, method="fedprox", objective__terms=PROXIMAL)
    write_run(folder / "10_fedprox_seed1", rounds=3, seed=1, method="fedprox", objective__terms=PROXIMAL)
    return folder


@pytest.fixture(scope="module")
def comparison(sweep: Path) -> Comparison:
    return compare([sweep])


def test_finds_runs_in_run_folders_sweeps_and_folders_of_sweeps(sweep: Path) -> None:
    names = ["0_fedavg_seed0", "1_fedavg_seed1", "2_fedprox_seed0", "10_fedprox_seed1"]
    assert short_names(find_runs([sweep])) == names
    assert short_names(find_runs([sweep.parent])) == names
    # One that is named is found once, and comes first.
    mixed = find_runs([sweep / names[2], sweep])
    assert short_names(mixed) == [names[2], names[0], names[1], names[3]]
    assert short_names(mixed[:1]) == [names[2]]


def test_does_not_look_into_run_folders(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write_run(run / "edge-0")
    assert find_runs([tmp_path]) == [run]


def test_run_that_failed_before_its_first_metrics_is_found(tmp_path: Path) -> None:
    failed = write_run(tmp_path / "failed", rounds=0)
    (failed / "metrics.jsonl").unlink()
    RunWriter(failed).ledger.write(Fail(reason="TimeoutError:\nno client"))
    write_run(tmp_path / "run")
    assert compare([tmp_path]).left_out == [("failed", "failed after round 0 of 4: TimeoutError: no client")]


def test_nothing_to_compare(tmp_path: Path, sweep: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingError, match=r"^RUN_FOLDER=null: name run folders or sweep folders"):
        compare([])
    with pytest.raises(SettingError, match=r"nowhere: there is no such folder$"):
        compare([sweep, tmp_path / "nowhere"])
    with pytest.raises(SettingError, match=r"empty: holds no run: nothing with config.yaml and metrics.jsonl"):
        compare([sweep, tmp_path / "empty"])
    with pytest.raises(SettingError, match=r"no finished run to compare; 10_fedprox_seed1: not finished: round 3 of 4"):
        compare([sweep / "10_fedprox_seed1"])


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
        for key in [key for key in line if key.endswith("_parameters") or key == "macs"]:
            del line[key]

    write_run(tmp_path / "new", rounds=4, method="fedprox")
    write_run(tmp_path / "old", change=age)
    table = cells(compare([tmp_path]))
    # 70.4 MB of 4 bytes each.
    assert (table["fedprox"]["N (M)"], table["fedavg"]["N (M)"]) == ("17.6", "n/a")
    assert (table["fedprox"]["MACs (M)"], table["fedavg"]["MACs (M)"]) == ("8.00", "n/a")


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


def test_settings_that_leave_the_experiment_as_it_is() -> None:
    here = {"data": {"path": "/here/a.npz", "root": "/here"}, "seed": 0, "runtime": {"name": "ray", "superlink": None}}
    there = {"data": {"path": "/b/a.npz", "root": None}, "seed": 1, "runtime": {"name": "ray", "superlink": "h:1"}}
    assert settings_of(here) == settings_of(there) == {"data.path": "a.npz", "runtime.name": "ray"}
    assert settings_of({"data": {"path": "/here/c.npz"}}) == {"data.path": "c.npz"}


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


def test_settings_shared_and_different() -> None:
    rows = [
        {"method": "a", "rounds": "9", "training.lr": "0.1"},
        {"method": "b", "rounds": "9", "training.lr": "0.1", "assignment.a": "5"},
        {"method": "c", "rounds": "9", "training.lr": "0.2", "assignment.a": "5"},
    ]
    assert shared(rows) == {"rounds": "9"}
    assert usual(rows) == {"training.lr": "0.1", "assignment.a": "5"}
    assert [deviations(row, usual(rows)) for row in rows] == [
        {"assignment.a": "(unset)"},
        {},
        {"training.lr": "0.2"},
    ]


def test_labels() -> None:
    lanes = [f"codec.{hop}.{way}.kind" for hop in ("access", "backbone") for way in ("down", "up")]

    def row(method: str, codec: str = "float32", up: str | None = None, **others: str) -> dict[str, str]:
        return {"method": method, **dict.fromkeys(lanes, codec), lanes[1]: up or codec, "lr": "0.1", **others}

    assert labels([row("fedavg"), row("fedphd", "int8")]) == ["fedavg", "fedphd"]
    assert labels([row("fedphd"), row("fedphd", "int8")]) == ["fedphd codec=float32", "fedphd codec=int8"]
    assert labels([row("fedavg", lr="0.2"), row("fedphd"), row("fedphd", lr="0.3")]) == [
        "fedavg",
        "fedphd lr=0.1",
        "fedphd lr=0.3",
    ]
    # The structure's choice alone does not tell the last two apart.
    pruned = {"pruning.kind": "at_start"}
    rows = [
        row("a", **{"pruning.kind": "none", "pruning.ratio": "0.0"}),
        row("a", **pruned, **{"pruning.ratio": "0.2"}),
        row("a", **pruned, **{"pruning.ratio": "0.4"}),
    ]
    assert labels(rows) == [
        "a pruning=none",
        "a pruning=at_start pruning.ratio=0.2",
        "a pruning=at_start pruning.ratio=0.4",
    ]
    one_way = labels([row("a"), row("a", "float32", up="int4")])
    assert one_way == ["a codec=float32", "a codec.access.up.kind=int4"]


def test_page(comparison: Comparison, tmp_path: Path) -> None:
    page = tmp_path / "docs" / "trial.md"
    write_page(comparison, page, "A *small* trial")
    text = page.read_text()
    lines = text.splitlines()
    assert lines[0] == START
    assert lines[-1] == END
    assert lines[2] == "# A *small* trial"
    assert lines[4].startswith("| configuration | seeds | fd_classifier ↓ |")
    assert lines[5].startswith("| --- | --- | ---: |")
    assert lines[6].startswith("| fedavg | 0, 1 | 30.0 ± 14.1 | 0.100 | 64.0 | 6.40 | 70.4 |")
    assert len({line.count("|") for line in lines[4:9]}) == 1
    assert "fedavg 30.0 at 70.4 MB, fedprox 32.0 at 70.4 MB.](trial.svg)" in text
    kind, weight = "objective.terms.proximal.kind", "objective.terms.proximal.weight"
    assert f"Unless its row says otherwise, a configuration has `{kind}=(unset)`, `{weight}=(unset)`." in text
    assert f"| fedavg | nothing |\n| fedprox | `{kind}=proximal`, `{weight}=0.1` |" in text
    shared_lines = text[text.index("```text") : text.index("\n```\n")].splitlines()
    assert "topology.clients=10" in shared_lines
    assert not {line.partition("=")[0] for line in shared_lines} & {"method", "seed", kind, weight}
    words = {element.text for element in ET.parse(page.with_suffix(".svg")).iter() if element.text}
    assert {"fedavg", "fedprox", "real held-out images", "payload of all hops, both ways (MB)"} <= words


def test_page_and_plot_are_the_same_each_time(comparison: Comparison, tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        write_page(comparison, tmp_path / name, "")
    assert (tmp_path / "a.md").read_text() == (tmp_path / "b.md").read_text().replace("b.svg", "a.svg")
    assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


def test_page_keeps_what_a_person_wrote(comparison: Comparison, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_page(comparison, page, "Old")
    page.write_text(f"Before.\n\n{page.read_text()}\nAfter.\n")
    write_page(comparison, page, "New")
    text = page.read_text()
    assert text.startswith(f"Before.\n\n{START}\n\n# New\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "# Old" not in text


def test_page_does_not_take_another_file(comparison: Comparison, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("mine\n")
    with pytest.raises(SettingError, match="exists and is not a page of `fedphd compare`"):
        write_page(comparison, readme, "")
    with pytest.raises(SettingError, match=r"--output=.*page.svg: must be a Markdown page"):
        write_page(comparison, tmp_path / "page.svg", "")
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]
    assert readme.read_text() == "mine\n"


def test_words_of_others_cannot_break_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", method="x|<b>`y`\n# z")
    page = render(compare([tmp_path]), "", None)
    assert r"| x\|\<b>\`y\` # z | 0 |" in page


def test_plot_tells_sixteen_rows_apart(tmp_path: Path) -> None:
    for index in range(16):

        def shrink(line: dict[str, Any], divisor: int = 1 + 2 * index) -> None:
            for key in line:
                if key.endswith("_bytes"):
                    line[key] //= divisor

        write_run(tmp_path / f"{index}_run", factor=1 - index / 32, method=f"method_{index}", change=shrink)
    with drawing.style():
        figure = draw_plot(compare([tmp_path]))
    assert figure is not None
    (axes,) = figure.axes
    curves = [line for line in axes.lines if str(line.get_label()).startswith("method_")]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves}) == 16
    # Bytes end up to 31 times apart; the start at 0 bytes stays in the picture.
    assert axes.get_xscale() == "symlog"
    assert axes.get_xlim()[0] == 0
    assert [line.get_xdata()[0] for line in curves] == [0] * 16
    legend = axes.get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    assert named == [*(f"method_{index}" for index in range(16)), "real held-out images"]
    # Nothing is drawn outside the picture.
    figure.draw_without_rendering()
    window = figure.get_tightbbox()
    assert 0 <= window.x0 <= window.x1 <= figure.get_figwidth()
    assert 0 <= window.y0 <= window.y1 <= figure.get_figheight()


def test_long_names_leave_room_for_the_plot(tmp_path: Path) -> None:
    options = {"training__lr": 1e-4, "topology__participation": 0.1, "diffusion__beta_schedule": "squaredcos_cap_v2"}
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", **options)
    with drawing.style():
        figure = draw_plot(compare([tmp_path]))
        assert figure is not None
        figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.5


def test_plot_of_like_bytes_is_linear_and_has_bands(comparison: Comparison) -> None:
    with drawing.style():
        figure = draw_plot(comparison)
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == "linear"
    (band,) = axes.collections  # of the one configuration with two seeds
    extent = band.get_paths()[0].get_extents()
    # From the lower seed's last value to the higher one's first, in MB and quality.
    assert (extent.x1, extent.y0, extent.y1) == pytest.approx((70.4, 20, 200))


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
    assert tree["reference"]["mean"] == 6.125
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

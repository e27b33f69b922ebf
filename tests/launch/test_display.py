"""The display is made from a run folder's files alone, so the tests write such files with the run's own writers."""

import io
import json
import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from run_writer import metrics_line

from fedphd.common.run.events import (
    Accept,
    Aggregate,
    Commit,
    Correct,
    Draw,
    Finish,
    Lost,
    Plan,
    Pretrain,
    Prune,
    Refuse,
    Resume,
    Reuse,
    Start,
)
from fedphd.common.run.figures import duration, size, three_digits
from fedphd.common.run.json_lines import JsonLines, Tail
from fedphd.common.run.ledger import Entry, Ledger
from fedphd.common.run.metrics import Metrics
from fedphd.launch.watch.display import Display
from fedphd.launch.watch.state import EdgeState, RunState


class Run:
    """Writes the ledger and the metrics of a run with two edges and two edge rounds in a root round."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.metrics = JsonLines(folder / "metrics.jsonl")

    def start(self, rounds: int = 40) -> None:
        self.ledger.write(Start(run="fedphd", rounds=rounds, edge_rounds=2, clients=3, edges=2))
        self.record(0, loss=None)

    def plan(self, number: int) -> None:
        rounds = [{"edge-0": ["client-0", "client-1"], "edge-1": ["client-2"]}, {"edge-0": ["client-2"], "edge-1": []}]
        self.ledger.write(Plan(round=number, assignment=rounds))

    def accept(self, edge: str, number: int, edge_round: int | None, client: str) -> None:
        counted = {"hop": "access", "parameters": 1, "payload_bytes": 4, "encoded_bytes": 9, "structure": None}
        self.ledger.write(Accept(round=number, edge_round=edge_round, peer=client, **counted), edge)

    def aggregate(self, edge: str, number: int, edge_round: int, clients: list[str], samples: int, loss: float) -> None:
        facts = {"round": number, "edge_round": edge_round, "clients": clients, "samples": samples, "loss": loss}
        self.ledger.write(Aggregate(**facts, seconds=1.0), edge)

    def round(self, number: int, **metrics: object) -> None:
        """Write a whole root round."""
        self.plan(number)
        first = 2 * (number - 1)
        for edge, edge_round, clients, samples, loss in (
            ("edge-0", first, ["client-0", "client-1"], 300, 0.25),
            ("edge-1", first, ["client-2"], 150, 0.5),
            ("edge-0", first + 1, ["client-2"], 100, 0.05),
        ):
            for client in clients:
                self.accept(edge, number, edge_round, client)
            self.aggregate(edge, number, edge_round, clients, samples, loss)
        edges: dict[str, object] = {"edges": ["edge-0", "edge-1"], "weights": {}, "homogeneity": {}}
        self.ledger.write(Commit(round=number, loss=0.3, structure="a" * 16, **edges))
        self.record(number, **metrics)

    def record(self, number: int, **metrics: object) -> None:
        ways = {
            "access_down": 12_000_000,
            "access_up": 12_000_000,
            "backbone_down": 3_600_000,
            "backbone_up": 3_600_000,
        }
        sent = {f"{way}_bytes": count * number for way, count in ways.items()}
        self.metrics.write(**metrics_line(number, **sent) | metrics)

    def pretrain(self, client: str, done: int) -> None:
        self.ledger.write(Pretrain(peer=client, done=done, total=2))

    def draw(self, client: str, done: int, left: int) -> None:
        self.ledger.write(Draw(peer=client, done=done, total=500, left=left))

    def prune(self, number: int) -> None:
        sizes = {"parameters_before": 701_345, "parameters_after": 399_673}
        sizes |= {"macs_before": 16_000_000, "macs_after": 9_000_000}
        ids = {"structure_before": "a" * 16, "structure_after": "b" * 16}
        self.ledger.write(Prune(round=number, ratio=0.25, **sizes, **ids))


class Shown:
    """A progress display of a run folder, and what it has printed since the last look."""

    def __init__(self, folder: Path, quiet: bool = False) -> None:
        self.stream = io.StringIO()
        self.display = Display(folder, Console(file=self.stream, width=60), quiet)

    def lines(self) -> list[str]:
        before = len(self.stream.getvalue())
        self.display.update()
        return self.stream.getvalue()[before:].splitlines()


# --- numbers --------------------------------------------------------------------------------------


def test_numbers_as_a_person_reads_them() -> None:
    assert [three_digits(value) for value in (0, 0.0603, 31.249, 440, 1540.4)] == ["0", "0.0603", "31.2", "440", "1540"]
    assert [size(count) for count in (31_200_000, 240_000, 12_400_000_000)] == ["31.2 MB", "0.240 MB", "12.4 GB"]
    # 724 s = 12 min 4 s; 12,000 s = 3 h 20 min; 180,000 s = 50 h.
    assert [duration(s) for s in (8.3, 59.97, 724, 12_000, 180_000)] == [
        "8.3 s",
        "1 min 0 s",
        "12 min 4 s",
        "3 h 20 min",
        "2 d 2 h",
    ]


# --- tailing --------------------------------------------------------------------------------------


@given(st.data())
def test_tail_reads_every_line_once_however_the_file_grows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("tail") / "events.jsonl"
    entries = [{"number": number, "text": "ü" * (number % 7)} for number in range(12)]
    content = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    tail, found = Tail(path), []
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        with path.open("ab") as file:
            file.write(content[start:end])
        found += tail.read()
    assert found == entries


def test_tail_of_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "run" / "ledger.jsonl")
    assert list(tail.read()) == []
    JsonLines(tail.path).write(a=1)
    assert list(tail.read()) == [{"a": 1}]


def test_tail_skips_what_a_killed_process_left_torn(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"a": 1}\n{"b": \n7\n{"c": 3}\n')
    assert list(Tail(path).read()) == [{"a": 1}, {"c": 3}]


def test_tail_starts_again_when_the_file_was_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    tail = Tail(path)
    assert len(list(tail.read())) == 2
    path.write_text('{"a": 3}\n')
    assert list(tail.read()) == [{"a": 3}]


# --- state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "aggregated", "done"),
    [([2, 1], 0, 0), ([2, 1], 1, 1), ([2, 1], 2, 2), ([0, 3], 0, 1), ([3, 0], 1, 2), ([2, 0, 2], 1, 2), ([], 0, 0)],
)
def test_edge_rounds_without_clients_are_over_at_once(plan: list[int], aggregated: int, done: int) -> None:
    assert EdgeState(plan, [{}] * aggregated).done == done


def test_before_the_ledger_says_how_many_rounds_there_are_the_configuration_does() -> None:
    state = RunState(configured=5)
    assert state.rounds == 5
    state.take(Entry("root", "root", Start(run="fedphd", rounds=12, edge_rounds=2, clients=3, edges=2)))
    assert state.rounds == 12


def test_time_left_follows_the_newest_rounds_and_a_pruning(tmp_path: Path) -> None:
    state = RunState()
    state.take(Entry("root", "root", Start(run="fedphd", rounds=12, edge_rounds=2, clients=3, edges=2)))

    def record(number: int, structure: str, elapsed: float) -> None:
        state.take(Metrics(**metrics_line(number, structure=structure, elapsed=elapsed)))

    for number in range(9):
        record(number, "dense", 10.0 * number)
    assert state.pace.seconds == 10
    # Round 9 is the first of the pruned model: 4 s, not the mean with the rounds before.
    record(9, "pruned", 84.0)
    assert state.pace.seconds == 4
    assert "12.0 s left" in state.info
    # Back at round 7, whose elapsed time says nothing of round 9's: the pace stays until two rounds are known.
    record(7, "dense", 500.0)
    assert state.pace.seconds == 4
    record(8, "dense", 520.0)
    assert state.pace.seconds == 20


# --- lines ----------------------------------------------------------------------------------------


def test_lines_of_a_run(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    assert shown.lines() == []
    run = Run(tmp_path)
    run.start()
    assert shown.lines() == ["root  round 0/40  0.440 M parameters  0 MB  8.3 s"]
    run.round(1, fd_classifier=95.13, fd_classifier_reference=0.9)
    # edge-0: (300 * 0.25 + 100 * 0.05) / 400 = 0.2. In all 12 + 12 + 3.6 + 3.6 = 31.2 MB.
    # The console is 60 wide: lines are not broken there.
    assert shown.lines() == [
        "edge-0  round 1  3 clients  400 samples  loss 0.2000",
        "edge-1  round 1  1 client  150 samples  loss 0.5000",
        "root  round 1/40  loss 0.3000  fd_classifier 95.1  0.440 M parameters  31.2 MB  8.3 s",
    ]
    assert shown.lines() == []


def test_further_measures_and_what_was_found_in_the_cache_are_told(tmp_path: Path) -> None:
    shown, run = Shown(tmp_path), Run(tmp_path)
    run.start()
    run.ledger.write(Reuse(split="train", images=1500, file="/cache/fid-0.npz"))
    kernel = {"kd_classifier": 0.5, "kd_classifier_reference": 0.25}
    run.round(1, fd_classifier=95.13, fd_classifier_floor=0.5, is_mean=3.0, **kernel)
    lines = shown.lines()
    assert "root  statistics of 1,500 real images (train) found in /cache/fid-0.npz" in lines
    assert any("fd_classifier 95.1  kd_classifier 0.500  0.440 M" in line for line in lines)


def test_local_models_and_the_images_drawn_from_them_are_told(tmp_path: Path) -> None:
    shown, run = Shown(tmp_path), Run(tmp_path)
    run.pretrain("client-0", 0)
    assert shown.lines() == ["root  waiting for the local model of client-0, 1 of 2"]
    run.draw("client-0", 200, left=100)
    assert shown.lines() == []
    run.draw("client-0", 300, left=0)
    run.pretrain("client-1", 1)
    run.draw("client-1", 500, left=0)
    assert shown.lines() == [
        "root  auxiliary images 300/500, those of client-0 are drawn",
        "root  waiting for the local model of client-1, 2 of 2",
        "root  auxiliary images 500/500, those of client-1 are drawn",
    ]


def test_correction_is_told(tmp_path: Path) -> None:
    shown, run = Shown(tmp_path), Run(tmp_path)
    run.ledger.write(Correct(round=12, steps=200, loss=0.12345, seconds=64.2))
    assert shown.lines() == ["root  round 12  corrected in 200 steps  loss 0.1235  1 min 4 s"]


def test_rounds_that_end_between_two_looks_keep_their_order(tmp_path: Path) -> None:
    shown, run = Shown(tmp_path), Run(tmp_path)
    run.start(rounds=2)
    run.round(1)
    run.round(2)
    run.ledger.write(Finish(seconds=724.0, model="0" * 64))
    lines = [line.split("  ")[:2] for line in shown.lines()]
    assert lines == [
        ["root", "round 0/2"],
        *(["edge-0", "round 1"], ["edge-1", "round 1"], ["root", "round 1/2"]),
        *(["edge-0", "round 2"], ["edge-1", "round 2"], ["root", "round 2/2"]),
        ["root", "finished in 12 min 4 s"],
    ]


def test_prune_refuse_and_lost_are_told(tmp_path: Path) -> None:
    shown, run = Shown(tmp_path), Run(tmp_path)
    run.prune(8)
    refused = Refuse(round=9, edge_round=17, peer="client-4", reason="[red]not\n\x1b[31mfinite")
    run.ledger.write(refused, "edge-1")
    run.ledger.write(Lost(round=9, edge_round=None, peer="edge-0", reason="error 3"))
    run.ledger.write(Lost(round=9, peer="client-1", task="draw", reason="error 5"), "edge-0")  # of no edge round
    assert shown.lines() == [
        # 9 / 16 = 0.5625, to three digits and even.
        "root  round 8  pruned at ratio 0.25  0.701 -> 0.400 M parameters  MACs x 0.562",
        "edge-1  round 9  edge round 17  refuse client-4: [red]not [31mfinite",
        "root  round 9  lost edge-0: error 3",
        "edge-0  round 9  lost client-1: error 5",
    ]


def test_quiet_tells_only_what_went_wrong(tmp_path: Path) -> None:
    shown, run = Shown(tmp_path, quiet=True), Run(tmp_path)
    run.start()
    run.round(1)
    run.ledger.write(Lost(round=2, edge_round=None, peer="edge-0", reason="error 3"))
    assert shown.lines() == ["root  round 2  lost edge-0: error 3"]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    shown, run = Shown(tmp_path), Run(tmp_path)
    run.start()
    shown.lines()
    run.record(1)
    whole = run.metrics.path.read_bytes()
    run.metrics.path.write_bytes(whole[:-20])
    assert shown.lines() == []
    run.metrics.path.write_bytes(whole)
    assert shown.lines() == ["root  round 1/40  loss 0.3000  0.440 M parameters  31.2 MB  8.3 s"]


def test_resumed_run_goes_on_without_its_past(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.start()
    for number in (1, 2, 3):
        run.round(number)
    shown = Shown(tmp_path)
    assert shown.lines() == []
    assert shown.display.state.round == 3
    run.ledger.write(Resume(round=2))
    assert shown.lines() == ["root  resumed after round 2"]
    assert shown.display.state.round == 2
    run.ledger.write(Start(run="fedphd", rounds=40, edge_rounds=2, clients=3, edges=2))
    run.round(3)
    assert [line[:13] for line in shown.lines()] == ["edge-0  round", "edge-1  round", "root  round 3"]


# --- the display ----------------------------------------------------------------------------------


def test_terminal_shows_where_every_tier_is(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.start()
    run.round(1, fd_classifier=95.13)
    run.plan(2)
    run.accept("edge-0", 2, 2, "client-0")
    run.accept("edge-1", 2, 2, "client-2")
    run.aggregate("edge-1", 2, 2, ["client-2"], 150, 0.5)
    bars = screen(tmp_path)
    # 39 more rounds of 10 s.
    assert bars["root"].endswith("1/40 sparse loss 0.3000 fd_classifier 95.1 31.2 MB 6 min 30 s left")
    assert bars["edge-0"].endswith("0/2 1/2 clients")
    assert bars["edge-1"].endswith("2/2 done")


def screen(folder: Path) -> dict[str, str]:
    """Show a run once on a terminal; return the bars by the first word of their names."""
    stream = io.StringIO()
    Display(folder, Console(file=stream, force_terminal=True, width=140, color_system=None)).watch(_set())
    text = re.sub(r"\x1b\[\??\d+[A-Za-z]", "", stream.getvalue())
    return {line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line.strip()}


def test_terminal_shows_how_far_the_auxiliary_set_is(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.pretrain("client-0", 0)
    # A client's answer to its edge, which has no root round yet.
    run.accept("edge-0", 0, None, "client-0")
    bars = screen(tmp_path)
    assert bars["local"].endswith("0/2 waiting for client-0")
    assert "auxiliary" not in bars
    assert bars["edge-0"].split()[-1] == "0/?"

    run.draw("client-0", 100, left=200)
    bars = screen(tmp_path)
    assert bars["local"].endswith("0/2")
    assert bars["auxiliary"].endswith("100/500 of client-0")

    run.draw("client-0", 300, left=0)
    run.pretrain("client-1", 1)
    bars = screen(tmp_path)
    assert bars["local"].endswith("1/2 waiting for client-1")
    assert bars["auxiliary"].endswith("300/500 of client-0")

    run.draw("client-1", 500, left=0)
    assert screen(tmp_path).keys() == {"root", "edge-0"}


@pytest.mark.parametrize("end", ["last image", "plan", "resume"])
def test_bars_of_the_preparation_go_away(tmp_path: Path, end: str) -> None:
    run, stream = Run(tmp_path), io.StringIO()
    display = Display(tmp_path, Console(file=stream, force_terminal=True, width=140))
    run.pretrain("client-0", 1)
    run.draw("client-0", 400, left=100)
    display.update()
    assert [task.description for task in display._bars.tasks] == ["local models", "auxiliary images", "root"]
    # A root that was killed after the last chunk was stored, but before it was told, has none to draw.
    match end:
        case "last image":
            run.draw("client-0", 500, left=0)
        case "plan":
            run.plan(1)
        case "resume":
            run.ledger.write(Resume(round=0))
    display.update()
    assert "auxiliary images" not in [task.description for task in display._bars.tasks]
    assert "local models" not in [task.description for task in display._bars.tasks]


def test_pipe_gets_no_bars(tmp_path: Path) -> None:
    run, stream = Run(tmp_path), io.StringIO()
    with Display(tmp_path, Console(file=stream)):
        run.start()
        run.plan(1)
    # What was written before the block ended is shown, though the thread may not have looked before.
    assert stream.getvalue() == "root  round 0/40  0.440 M parameters  0 MB  8.3 s\n"


def test_with_block_does_not_hide_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Display(tmp_path, Console(file=io.StringIO())):
        1 / 0  # noqa: B018


def _set() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop

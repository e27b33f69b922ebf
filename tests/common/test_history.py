"""One history of a run for all its readers: what is folded, and what a resume takes back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedphd.common.run.crossings import Count
from fedphd.common.run.events import (
    Accept,
    Assess,
    Commit,
    Compare,
    Correct,
    Event,
    Fail,
    Finish,
    Lost,
    Plan,
    Prune,
    Resend,
    Resume,
    Send,
    Start,
)
from fedphd.common.run.history import History
from fedphd.common.run.json_lines import JsonLines
from fedphd.common.run.ledger import Entry, Ledger, read_entry
from fedphd.common.run.metrics import Metrics, read_metrics
from fedphd.common.run.run_folder import LEDGER, METRICS, RunFolder

LANES = [f"{hop}_{way}" for hop in ("access", "backbone") for way in ("down", "up")]
COUNTED = {"hop": "access", "parameters": 1, "payload_bytes": 4, "structure": "a"}


class Run:
    """Writes a run's ledger and metrics, round by round; quality is the attempt at the round."""

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self.ledger = Ledger(folder / LEDGER)
        self.metrics = JsonLines(folder / METRICS)
        self.attempts: dict[int, int] = {}

    def start(self) -> None:
        self.ledger.write(Start(run="fedavg", edges=1, rounds=6, edge_rounds=1, clients=1))

    def commit(self, number: int) -> None:
        self.ledger.write(Plan(round=number, assignment=[{"edge-0": ["client-0"]}]))
        self.ledger.write(Correct(round=number, steps=1, loss=0.1, seconds=1.0))
        self.ledger.write(
            Commit(round=number, edges=["edge-0"], loss=0.1, structure="a", weights={"edge-0": 1.0}, homogeneity={})
        )
        sizes = {f"{what}_{when}": 9 for what in ("parameters", "macs") for when in ("before", "after")}
        self.ledger.write(Prune(round=number, ratio=0.5, **sizes, structure_before="a", structure_after="b"))
        self.assess(number)

    def assess(self, number: int, loss: float = 0.5) -> None:
        """Let two clients say something of the model."""
        shares = {"expected": 0.1, "p_value": 1.0, "authentic_held_out": 1.0, "flagged": False}
        for client in ("client-0", "client-1"):
            told = {"round": number, "peer": client}
            self.ledger.write(Assess(**told, images=1, loss=[loss], training_loss=[loss]))
            counts = dict.fromkeys(("near", "copies", "authentic"), 0)
            self.ledger.write(Compare(**told, **counts, **shares, nearest=[0.1], held_out_nearest=[0.1]))

    def record(self, number: int, **measures: float) -> None:
        self.attempts[number] = self.attempts.get(number, 0) + 1
        self.metrics.write(**metrics(number, fid=float(self.attempts[number]), **measures).line)

    def rounds(self, *numbers: int) -> None:
        for number in numbers:
            self.commit(number)
            self.record(number)

    def attempt(self, number: int) -> int:
        """Say which attempt at a round the history has."""
        quality = self.folder.history().metrics[number].quality
        assert quality is not None
        return int(quality[1])


def metrics(number: int, **facts: object) -> Metrics:
    known = {"edge_rounds": number, "phase": "dense", "loss": 0.1, "clients": 1, "samples": 1, "parameters": 1}
    known |= {"macs": 1, "structure": "a", "seconds": 1.0, "elapsed": float(number)}
    return Metrics(round=number, **known | {f"{lane}_bytes": 1 for lane in LANES} | facts)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path)
    run.record(0)
    run.start()
    return run


def by_round(history: History) -> list[list[int]]:
    events = (history.plans, history.corrections, history.commits, history.prunings)
    return [list(one) for one in (*events, history.assessments, history.comparisons)]


# --- what a resume takes back -------------------------------------------------------------------------


def test_rounds_after_a_resumed_one_are_taken_back_whole(run: Run) -> None:
    run.rounds(1, 2, 3)
    run.ledger.write(Resume(round=1))
    history = run.folder.history()
    assert by_round(history) == [[1]] * 6
    assert list(history.metrics) == [0, 1]
    assert (history.state, history.round, history.committed) == ("starting", 1, 1)
    run.rounds(2)
    history = run.folder.history()
    assert by_round(history) == [[1, 2]] * 6
    assert list(history.metrics) == [0, 1, 2]
    assert (run.attempt(1), run.attempt(2)) == (1, 2)


def test_a_round_that_was_committed_again_is_not_measured_before_it_is_written_again(run: Run) -> None:
    run.rounds(1, 2, 3)
    run.ledger.write(Resume(round=1))
    run.commit(2)
    history = run.folder.history()
    assert (history.committed, list(history.metrics)) == (2, [0, 1])


@pytest.mark.parametrize("again", [(2, 3, 4), (2, 3), (3, 4, 5, 6)])
def test_what_a_run_did_in_the_end_counts(run: Run, again: tuple[int, ...]) -> None:
    run.rounds(1, 2, 3)
    run.ledger.write(Fail(reason="no disk"))
    run.ledger.write(Resume(round=again[0] - 1))
    run.rounds(*again)
    run.ledger.write(Finish(seconds=1.0, model="0"))
    assert list(run.folder.history().metrics) == list(range(again[-1] + 1))
    assert [run.attempt(number) for number in again] == [2 if number <= 3 else 1 for number in again]


def test_a_run_that_was_killed_between_commit_and_metrics(run: Run) -> None:
    """Its line is missing; that of the second attempt is not taken for it."""
    run.rounds(1, 2)
    run.commit(3)
    run.ledger.write(Resume(round=2))
    run.rounds(3, 4)
    assert list(run.folder.history().metrics) == [0, 1, 2, 3, 4]


def test_a_finished_run_that_got_more_rounds(run: Run) -> None:
    run.rounds(1, 2)
    run.ledger.write(Finish(seconds=1.0, model="0"))
    run.ledger.write(Resume(round=2))
    run.start()
    run.rounds(3, 4)
    run.ledger.write(Finish(seconds=1.0, model="0"))
    assert list(run.folder.history().metrics) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("checkpoint", [1, 2])
def test_a_run_that_went_back_more_than_a_round(run: Run, checkpoint: int) -> None:
    """As with checkpoint.every=2; it was killed in the round after the third."""
    run.rounds(1, 2, 3)
    run.ledger.write(Plan(round=4, assignment=[]))
    run.ledger.write(Resume(round=checkpoint))
    run.start()
    run.rounds(*range(checkpoint + 1, 4))
    assert list(run.folder.history().metrics) == [0, 1, 2, 3]
    run.rounds(4)
    assert list(run.folder.history().metrics) == [0, 1, 2, 3, 4]
    assert [run.attempt(number) for number in range(checkpoint + 1, 5)] == [2] * (3 - checkpoint) + [1]


def test_reading_bit_by_bit_tells_the_same_as_reading_at_once(run: Run) -> None:
    reader, bit_by_bit = run.folder.reader(), History()

    def look() -> None:
        for told in reader.read():
            bit_by_bit.take(told)

    steps: list[Callable[[], None]] = [
        lambda: run.rounds(1, 2, 3),
        lambda: run.ledger.write(Resume(round=2)),
        run.start,
        lambda: run.commit(3),
        lambda: run.record(3),
        lambda: run.rounds(4, 5),
        lambda: run.ledger.write(Finish(seconds=1.0, model="0")),
    ]
    for step in steps:
        step()
        look()
    assert bit_by_bit == run.folder.history()


# --- the course of a run ------------------------------------------------------------------------------


def test_an_ending_is_one_until_the_run_goes_on(run: Run) -> None:
    assert run.folder.history().ending is None
    run.ledger.write(Fail(reason="no disk"))
    history = run.folder.history()
    assert (history.state, history.ending) == ("failed", history.incidents[-1].event)
    run.ledger.write(Resend(peer="node 5", reason="away"))  # submitted anew, and no edge has registered yet
    assert (run.folder.history().state, run.folder.history().ending) == ("starting", None)
    run.start()
    run.ledger.write(Finish(seconds=1.0, model="0"))
    assert run.folder.history().state == "finished"


def test_an_edge_that_outlives_the_run_does_not_take_back_its_end(run: Run) -> None:
    run.ledger.write(Fail(reason="no disk"))
    run.ledger.write(Lost(round=1, edge_round=0, peer="client-0", reason="error 4"), "edge-0")
    history = run.folder.history()
    assert (history.state, history.ending) == ("failed", history.incidents[0].event)


def test_metrics_without_a_ledger_count(tmp_path: Path) -> None:
    """As of a folder whose ledger is gone."""
    Run(tmp_path).record(4)
    assert not (tmp_path / LEDGER).exists()
    assert list(RunFolder(tmp_path).history().metrics) == [4]


def test_messages_are_counted_whatever_became_of_their_round(run: Run) -> None:
    where = {"round": 1, "edge_round": 0, "peer": "client-0"}
    run.ledger.write(Send(**where, **COUNTED, encoded_bytes=10), "edge-0")
    run.ledger.write(Resend(**where, **COUNTED, encoded_bytes=10, reason="away"), "edge-0")
    run.ledger.write(Resend(peer="client-0", reason="away"), "edge-0")  # a question without a model
    run.ledger.write(Accept(**where, **COUNTED, encoded_bytes=7), "edge-0")
    run.ledger.write(Accept(round=1, peer="client-1", task="draw", **COUNTED, encoded_bytes=100), "edge-0")
    run.ledger.write(Lost(**where, reason="away"), "edge-0")
    run.ledger.write(Resume(round=0))
    crossings = run.folder.history().crossings
    assert crossings.total(lambda one: one.way == "down") == Count(2, 20)
    assert crossings.total(lambda one: one.way == "up" and one.task is None) == Count(1, 7)
    assert crossings.total(lambda one: one.peer == "client-1" and one.node == "edge-0") == Count(1, 100)


# --- lines of others ----------------------------------------------------------------------------------

LINE = {"time": 1.0, "event": "resume", "tier": "root", "node": "root", "round": 3}


def test_a_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_entry(LINE) == Entry("root", "root", Resume(time=1.0, round=3))


def test_facts_of_another_version_are_left_out() -> None:
    entry = read_entry(LINE | {"colour": "blue"})
    assert entry is not None
    assert entry.event.facts == {"round": 3}
    measured = read_entry(LINE | {"event": "evaluate", "fid": 2.5, "colour": "blue"})
    assert measured is not None
    assert measured.event.facts == {"round": 3, "fid": 2.5}


@pytest.mark.parametrize(
    "changed",
    [{"event": "teleport"}, {"event": None}, {"event": ["resume"]}, {"tier": 3}, {"time": None}, {"round": "three"}],
)
def test_lines_that_only_another_version_can_read_are_skipped(changed: dict[str, object]) -> None:
    assert read_entry(LINE | changed) is None


@pytest.mark.parametrize("key", LINE)
def test_lines_that_lack_what_they_must_have_are_skipped(key: str) -> None:
    assert read_entry({name: value for name, value in LINE.items() if name != key}) is None


def test_strange_lines_do_not_spoil_the_others(run: Run) -> None:
    run.rounds(1)
    before = run.folder.history()
    for file in (LEDGER, METRICS):
        with (run.folder.path / file).open("a") as lines:
            lines.write('{"time": 1.0, "event": "pl\n{}\n[]\n7\n' + json.dumps({"round": "?", "event": "plan"}) + "\n")
    assert run.folder.history() == before
    run.rounds(2)
    assert list(run.folder.history().metrics) == [0, 1, 2]


def test_metrics_have_what_an_extractor_measures_and_nothing_else() -> None:
    line = metrics(3, fid=2.5, fid_reference=1.5, **{"class_share/a": 0.5}).line
    read = read_metrics(line | {"note": "by another version", "flag": True})
    assert read is not None
    assert read.measures == {"fid": 2.5, "fid_reference": 1.5, "class_share/a": 0.5}
    assert (read.quality, read.reference, read.line) == (("fid", 2.5), 1.5, line)


def test_payload_and_totals() -> None:
    sent = dict(zip((f"{lane}_bytes" for lane in LANES), (1, 20, 300, 4000), strict=True))
    line = metrics(1, **sent)
    assert (line.payload, line.total("bytes", ["access"]), line.crossed("backbone", "down", "bytes")) == (4321, 21, 300)
    assert line.total("messages") is None  # as in an old run


def test_events_do_not_take_what_they_do_not_have() -> None:
    kinds: list[tuple[type[Event], dict[str, object]]] = [
        (Resume, {}),
        (Resume, {"round": 1, "colour": "blue"}),
        (Fail, {"reason": None}),
        (Correct, {"round": 1, "steps": 1, "loss": float("nan"), "seconds": 1.0}),
    ]
    for kind, facts in kinds:
        with pytest.raises(ValueError, match="1 validation error"):
            kind(**facts)


def test_a_round_that_is_measured_again_counts_once(run: Run) -> None:
    """... by what each client said last: one of them may be away now."""
    run.rounds(1)
    run.ledger.write(Resume(round=1))
    run.assess(1, loss=0.25)
    history = run.folder.history()
    assert {client: one.loss for client, one in history.assessments[1].items()} == {
        "client-0": [0.25],
        "client-1": [0.25],
    }
    assert list(history.comparisons[1]) == ["client-0", "client-1"]

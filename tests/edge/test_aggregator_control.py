"""SCAFFOLD at an edge: whose changes of control variates count, and what they add up to."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import SHARED, Crowd, Reply, download, events, exact, packed, three_parts
from small_edge import START, aggregator, order, two, update_of

from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.messages import ClientUpdate, EdgeUpdate, TrainOrder
from fedphd.common.wire.traffic import Traffic

SCAFFOLD = "objective=control_variates"


def run(
    ledger: Ledger, crowd: Crowd, *overrides: str, rounds: list[list[int]], final: list[list[int]], **more: object
) -> EdgeUpdate:
    edge = aggregator(ledger, 2, SCAFFOLD, *overrides)
    return update_of(edge.run_round(crowd.grid(), order(*rounds, final=final, **more)))  # type: ignore[arg-type]


def control(update: EdgeUpdate) -> list[float] | None:
    return None if update.control is None else update.control.decode().vector.tolist()


BOTH = [0, 1]


@pytest.mark.parametrize(
    ("rounds", "final", "expected"),
    [
        # Client 0's change is 1 everywhere, client 1's 5: each counts in its last edge round only.
        ([BOTH, BOTH], [[], BOTH], [6.0, 6.0]),
        ([BOTH, [0]], [[1], [0]], [6.0, 6.0]),
        ([[0], []], [[0], []], [1.0, 1.0]),
        ([BOTH, BOTH], [[], [1]], [5.0, 5.0]),  # client 0 goes on at another edge
        ([BOTH, BOTH], [[], []], None),
        ([[], []], [[], []], None),
    ],
)
def test_each_clients_last_change_counts(
    ledger: Ledger, rounds: list[list[int]], final: list[list[int]], expected: list[float] | None
) -> None:
    assert control(run(ledger, two(SCAFFOLD), rounds=rounds, final=final)) == expected


def test_clients_are_told_c_and_whether_it_is_their_last_round(ledger: Ledger) -> None:
    asked: list[TrainOrder] = []

    def note(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        asked.append(task)
        return update.write()

    crowd = two(SCAFFOLD)
    crowd.replies = {0: note}
    c = exact(packed(0.5, 0.25))
    update = run(ledger, crowd, rounds=[BOTH, BOTH], final=[[1], [0]], control=c)
    assert [task.final for task in asked] == [False, True]
    assert [task.control.decode().vector.tolist() for task in asked if task.control] == [[0.5, 0.25]] * 2
    # Down: 2 numbers of the model and 2 of c for each client; up: of a change, from one client in each round.
    assert [one.down for one in update.rounds] == [Traffic(2, 8, 32)] * 2
    assert [one.up for one in update.rounds] == [Traffic(2, 6, 24)] * 2
    sent, accepted = events(ledger, "send"), events(ledger, "accept")
    assert [event["payload_bytes"] for event in sent] == [16] * 4
    assert [event["payload_bytes"] for event in accepted] == [8, 16, 16, 8]


def test_without_control_variates_nothing_is_asked_for(ledger: Ledger) -> None:
    seen: list[bool] = []

    def note(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        seen.append(task.final or task.control is not None)
        return update.write()

    crowd = two()
    crowd.replies = {0: note}
    update = update_of(aggregator(ledger, 2).run_round(crowd.grid(), order(BOTH)))
    assert (seen, update.control) == ([False], None)


def test_changes_are_summed_part_by_part(ledger: Ledger) -> None:
    """USPLIT: one of two clients reports the decoder, the other the encoder, one of them the bottleneck."""
    start, parts = three_parts([0.0], [10.0], [20.0]), {}

    def note(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        parts[update.client] = task.reports
        return update.write()

    crowd = two(SCAFFOLD)
    crowd.replies = {0: note, 1: note}
    edge = aggregator(ledger, 2, SCAFFOLD, "exchange=usplit")
    update = update_of(edge.run_round(crowd.grid(), order(BOTH, final=[BOTH], start=start)), start, "usplit")
    adds = {"client-0": 1.0, "client-1": 5.0}
    reporter = {part: client for client, own in parts.items() for part in own}
    assert control(update) == [adds[reporter[part]] for part in ("encoder", "bottleneck", "decoder")]
    assert len(set(reporter.values())) == 2


def test_c_is_of_what_travels(ledger: Ledger) -> None:
    start = download(three_parts([0.0], [10.0], [20.0]), shared=SHARED["udec"])
    edge = aggregator(ledger, 2, SCAFFOLD, "exchange=udec")
    content = order(BOTH, BOTH, final=[[], BOTH], start=start, control=exact(packed(0.5, name="conv_out.weight")))
    update = update_of(
        edge.run_round(two(SCAFFOLD, "exchange=udec").grid(), content), three_parts([0], [1], [2]), "udec"
    )
    assert control(update) == [6.0]


@pytest.mark.parametrize("kind", ["bfloat16", "int8", "int4"])
def test_the_sum_is_exact_whatever_codec_the_backbone_has(ledger: Ledger, kind: str) -> None:
    crowd, ways = two(SCAFFOLD), [f"codec.backbone.up.kind={kind}", "codec.backbone.up.of=change"]
    crowd.adds = [0.1, 1e-4]
    sums = np.float32(np.float64(np.float32(0.1)) + np.float64(np.float32(1e-4)))
    update = run(ledger, crowd, *ways, rounds=[BOTH], final=[BOTH])
    assert (update.model.kind, update.control and update.control.kind) == (kind, "float32")
    assert control(update) == [float(sums)] * 2


# --- what does not count ----------------------------------------------------------------------------


def failing(update: ClientUpdate, task: TrainOrder) -> RecordDict:
    raise OSError("no disk")


def with_control(make: Callable[[ClientUpdate], CodedModel | None]) -> Reply:
    return lambda update, task: replace(update, control=make(update)).write()


def as_change(update: ClientUpdate) -> CodedModel:
    assert update.control is not None
    return replace(update.control, change=True)


def torn(update: ClientUpdate) -> CodedModel:
    assert update.control is not None
    return replace(update.control, data=update.control.data[:-1])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (failing, "no disk"),
        (with_control(lambda update: None), "no change of control variates"),
        (with_control(as_change), "is a change where weights were asked for"),
        (with_control(lambda update: exact(packed(0.0, 2e30))), "a change of control variates is beyond 1e+30"),
        (with_control(torn), "float32 data has 7 bytes instead of 8"),
        (with_control(lambda update: exact(packed(1.0))), "float32 data has 4 bytes instead of 8"),
    ],
)
def test_whoever_does_not_count_adds_nothing(ledger: Ledger, reply: Reply, reason: str) -> None:
    crowd = two(SCAFFOLD)
    crowd.replies = {1: reply}
    update = run(ledger, crowd, rounds=[BOTH], final=[BOTH])
    assert control(update) == [1.0, 1.0]
    assert update.rounds[0].clients == ["client-0"]
    [event] = events(ledger, "lost", "refuse")
    assert reason in str(event["reason"])


def test_an_unasked_change_is_refused(ledger: Ledger) -> None:
    crowd = two(SCAFFOLD)
    crowd.replies = {1: with_control(lambda update: exact(START))}
    update = run(ledger, crowd, rounds=[BOTH], final=[[0]])
    assert (control(update), update.rounds[0].clients) == ([1.0, 1.0], ["client-0"])
    [event] = events(ledger, "refuse")
    assert event["reason"] == "unasked change of control variates"

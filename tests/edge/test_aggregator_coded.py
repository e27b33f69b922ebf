"""Codes on the way between an edge and its clients: what is sent, what comes, what is refused."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import Crowd, events, small_config
from small_edge import aggregator, order, update_of

from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec import coded_bytes
from fedphd.common.wire.codec.coded import code
from fedphd.common.wire.messages import ClientUpdate, EdgeUpdate, TrainOrder

# A matrix of two channels with four numbers each, which are quantised, and two biases, which are not.
STRUCTURE = Structure((("w", (2, 4)), ("b", (2,))))
START = PackedModel(STRUCTURE, np.array([1, -2, 3, -4, 0.5, 0.25, 0, 1, 7, 8], np.float32))

Data = Callable[[bytearray], None]


def crowd(*overrides: str, adds: tuple[float, float] = (1.0, 5.0)) -> Crowd:
    return Crowd([[10.0, 0.0], [0.0, 30.0]], list(adds), config=small_config(*overrides))


def run(
    ledger: Ledger, *overrides: str, clients: Crowd | None = None, start: PackedModel = START
) -> tuple[EdgeUpdate, PackedModel]:
    """Run an edge round of both clients; give the answer, and the model in it."""
    edge = aggregator(ledger, 2, *overrides)
    update = update_of(edge.run_round((clients or crowd(*overrides)).grid(), order([0, 1], start=start)), start)
    return update, update.model.decode(start if update.model.change else None)


# --- what crosses -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "int8"])
def test_weights_down_and_up(ledger: Ledger, kind: str) -> None:
    ways = [f"codec.access.{way}.kind={kind}" for way in ("down", "up")]
    update, model = run(ledger, *ways)
    size = coded_bytes(STRUCTURE, kind)
    assert {"float32": 40, "float16": 20, "bfloat16": 20, "int8": 4 * (2 + 2) + 8}[kind] == size
    [one] = update.rounds
    assert (one.down.bytes, one.up.bytes) == (2 * size, 2 * size)
    # 4 above the start, but for what rounding takes: of weights up to 9 in magnitude, twice.
    np.testing.assert_allclose(model.vector, START.vector + 4, atol={"float32": 0, "float16": 0.01}.get(kind, 0.08))


@pytest.mark.parametrize(("kind", "size"), [("int8", 4 * (2 + 2) + 8), ("int4", 4 * (2 + 2) + 4)])
def test_changes_up(ledger: Ledger, kind: str, size: int) -> None:
    lane = [f"codec.access.up.{one}" for one in (f"kind={kind}", "of=change", "error_feedback=true")]
    update, model = run(ledger, *lane)
    assert update.rounds[0].up.bytes == 2 * size
    # Each client's change is one number everywhere, which its channel's scale says exactly enough.
    np.testing.assert_allclose(model.vector, START.vector + 4, rtol=1e-6)


def test_changes_count_from_what_the_clients_have(ledger: Ledger) -> None:
    """... which is not the edge's model, where that was rounded on its way down."""
    ways = ["codec.access.down.kind=int8", "codec.access.up.kind=float32", "codec.access.up.of=change"]
    _, model = run(ledger, *ways, clients=crowd(*ways, adds=(0.0, 0.0)))
    sent = code(START, small_config(*ways).codec.access.down).decode()
    assert sent.hash != START.hash
    assert model.hash == sent.hash


def test_identical_clients_give_back_the_client_also_when_coded(ledger: Ledger) -> None:
    _, model = run(ledger, clients=crowd(adds=(0.3, 0.3)))
    assert model.hash == PackedModel(STRUCTURE, START.vector + np.float32(0.3)).hash


# --- changes down -----------------------------------------------------------------------------------


def test_changes_down_only_to_those_who_have_what_they_count_from(ledger: Ledger) -> None:
    overrides = ["codec.access.down.kind=int8", "codec.access.down.of=change"]
    bases: dict[tuple[str, int], int | None] = {}
    received: dict[tuple[str, int], str] = {}
    clients = crowd(*overrides)

    def note(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        key = update.client, task.edge_round
        bases[key] = task.download.base
        received[key] = clients.received[int(update.client[-1]), "edge-0", task.edge_round].hash
        if key == ("client-1", 1):
            raise OSError("no disk")
        return update.write()

    clients.replies = {0: note, 1: note}
    edge = aggregator(ledger, 2, *overrides, "topology.edge_rounds=5")
    edge.run_round(clients.grid(), order([0, 1], [0, 1], [0, 1], [0], [0, 1], start=START, root_round=1, first=0))
    assert bases == {
        ("client-0", 0): None,  # first contacts
        ("client-1", 0): None,
        ("client-0", 1): 0,
        ("client-1", 1): 0,
        ("client-0", 2): 1,
        ("client-1", 2): None,  # failed in round 1
        ("client-0", 3): 2,
        ("client-0", 4): 3,
        ("client-1", 4): None,  # was not there in round 3
    }
    for edge_round in (0, 1, 2, 4):  # both have the same numbers, whatever they were sent
        assert received["client-0", edge_round] == received["client-1", edge_round]
    assert received["client-0", 4] == edge.site.downlink.sent.hash


def test_an_edge_that_is_started_again_sends_whole_models_that_hold_the_same_numbers(ledger: Ledger) -> None:
    overrides = ["codec.access.down.kind=int8", "codec.access.down.of=change"]
    updates = []
    for again in (False, True):
        clients, edge = crowd(*overrides), None
        place = Ledger(ledger.path.parent / str(again) / "ledger.jsonl")
        for root_round in (1, 2):
            if edge is None or again:
                edge = aggregator(place, 2, *overrides)
            first, moved = 2 * root_round - 2, PackedModel(STRUCTURE, START.vector * np.float32(root_round))
            content = order([0, 1], [0, 1], start=moved, root_round=root_round, first=first)
            updates.append(update_of(edge.run_round(clients.grid(), content), START))
    assert [update.model for update in updates[:2]] == [update.model for update in updates[2:]]
    sizes = [one.down.bytes for update in updates for one in update.rounds]
    change = coded_bytes(STRUCTURE, "int8")
    assert sizes == [2 * size for size in (40, change, change, change, 40, change, 40, change)]


# --- what is refused --------------------------------------------------------------------------------

INT8 = ["codec.access.up.kind=int8", "codec.access.up.of=change"]
INT4 = ["codec.access.up.kind=int4", "codec.access.up.of=change"]


def with_data(change: Data) -> Callable[[ClientUpdate, TrainOrder], RecordDict]:
    def write(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        data = bytearray(update.model.data)
        change(data)
        return replace(update, model=replace(update.model, data=bytes(data))).write()

    return write


def set_bytes(at: int, *values: int) -> Data:
    def change(data: bytearray) -> None:
        data[at : at + len(values)] = bytes(values)

    return change


SCALE, BIAS, CODES = 0, 8, 16  # where these begin


@pytest.mark.parametrize(
    ("overrides", "change", "reason"),
    [
        (INT8, set_bytes(CODES, 0x80), "int8 data has a code below -127"),
        (INT4, set_bytes(CODES + 3, 0x18), "int4 data has a code below -7"),
        (INT8, set_bytes(SCALE, *np.float32(-1).tobytes()), "int8 data has a scale that is negative"),
        (INT8, set_bytes(SCALE + 4, *np.float32(np.nan).tobytes()), "too large or not finite"),
        (INT4, set_bytes(SCALE, *np.float32(3e38).tobytes()), "too large or not finite"),
        (INT8, set_bytes(BIAS, *np.float32(np.inf).tobytes()), "int8 data has numbers that are not finite"),
        (INT8, set_bytes(BIAS, *np.float32(3.4e38).tobytes() * 2), None),
        (INT4, bytearray.pop, "int4 data has 19 bytes instead of 20"),
        (INT8, lambda data: data.extend(b"\0"), "int8 data has 25 bytes instead of 24"),
    ],
)
def test_damaged_codes(ledger: Ledger, overrides: list[str], change: Data, reason: str | None) -> None:
    clients = crowd(*overrides)
    clients.replies = {1: with_data(change)}
    update, model = run(ledger, *overrides, clients=clients)
    refusals = [str(event["reason"]) for event in events(ledger, "refuse")]
    if reason is None:  # large, but a number
        assert refusals == [] and update.rounds[0].clients == ["client-0", "client-1"]
        return
    assert len(refusals) == 1 and reason in refusals[0]
    np.testing.assert_allclose(model.vector, START.vector + 1, rtol=1e-6)


def test_a_change_that_leaves_the_range_of_numbers(ledger: Ledger) -> None:
    huge = PackedModel(STRUCTURE, START.vector * np.float32(4e37))
    overrides = ["codec.access.up.of=change"]
    clients = crowd(*overrides, adds=(0.0, 0.0))
    clients.replies = {1: with_data(set_bytes(0, *np.float32(3.4e38).tobytes() * 10))}
    run(ledger, *overrides, clients=clients, start=huge)
    [refused] = events(ledger, "refuse")
    assert "the base and its change together are not finite" in str(refused["reason"])


@pytest.mark.parametrize(("overrides", "sent_as_change"), [([], True), (INT8, False), (["codec=int8_weights"], True)])
def test_weights_and_changes_are_not_confused(ledger: Ledger, overrides: list[str], sent_as_change: bool) -> None:
    clients = crowd(*overrides)

    def confuse(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        return replace(update, model=replace(update.model, change=sent_as_change)).write()

    clients.replies = {1: confuse}
    update, _ = run(ledger, *overrides, clients=clients)
    assert update.rounds[0].clients == ["client-0"]
    [refused] = events(ledger, "refuse")
    confused = "a change where weights were" if sent_as_change else "weights where a change was"
    assert refused["reason"] == f"is {confused} asked for"

"""Errands: what clients give for the root, one by one, and what of it an edge keeps for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from helpers import SHARED, Crowd, download, events, exact, packed, small_config, three_parts
from small_edge import aggregator, files, order

from fedphd.common.network.packing import PackedModel
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import (
    ASSESS,
    DRAW,
    LOCAL,
    Assessment,
    ClientErrand,
    ClientUpdate,
    Drawing,
    Errand,
    Fetch,
    Gathered,
    content_bytes,
)
from fedphd.common.wire.parts import PARTS, Parts
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic
from fedphd.edge.aggregator import EdgeAggregator

START = packed(0.0, 10.0)
NAMES = ["client-0", "client-1", "client-2"]


class Errant(Crowd):
    """Clients whose answers to errands may be unsound, or none."""

    wrong: dict[int, object]
    asked: list[ClientErrand]

    def local(self, index: int, errand: ClientErrand) -> ClientUpdate:
        self.asked.append(errand)
        return self._answer(index, super().local(index, errand))

    def drawing(self, index: int, errand: ClientErrand) -> Drawing:
        return self._answer(index, super().drawing(index, errand))

    def assessment(self, index: int, errand: ClientErrand) -> Assessment:
        self.asked.append(errand)
        return self._answer(index, super().assessment(index, errand))

    def _answer(self, index, sound):  # type: ignore[no-untyped-def]
        wrong = self.wrong.get(index, {})
        if isinstance(wrong, Exception):
            raise wrong
        return replace(sound, **wrong)


def crowd(wrong: dict[int, object] | None = None, *overrides: str) -> Errant:
    """Three clients of 10, 30 and 20 images; client i adds 1, 5 or 2, and draws images of colour i."""
    clients = Errant([[10.0, 0.0], [0.0, 30.0], [10.0, 10.0]], [1.0, 5.0, 2.0], config=small_config(*overrides))
    clients.wrong, clients.asked = wrong or {}, []
    return clients


def errand(
    *clients: int,
    start: PackedModel = START,
    root_round: int = 0,
    images: int = 0,
    parts: Parts = PARTS,
    kind: str = "full",
) -> RecordDict:
    down = download(start, parts, SHARED[kind])
    return Errand(down, root_round, [f"client-{index}" for index in clients], images).write()


def gather(edge: EdgeAggregator, clients: Crowd, task: str, content: RecordDict) -> Gathered:
    return Gathered.read(edge.gather(clients.grid(), task, content))


def fetch(edge: EdgeAggregator, task: str, client: str, root_round: int = 0) -> RecordDict:
    return edge.fetch(Fetch(task, root_round, client).write())


# --- local models -----------------------------------------------------------------------------------


def test_local_models(ledger: Ledger) -> None:
    edge = aggregator(ledger, 3)
    gathered = gather(edge, crowd(), LOCAL, errand(2, 0))
    assert (gathered.edge, gathered.clients) == ("edge-0", ["client-2", "client-0"])
    assert gathered.down == gathered.up == Traffic(2, 4, 16)
    for client, expected in (("client-0", [1.0, 11.0]), ("client-2", [2.0, 12.0])):
        update = ClientUpdate.read(fetch(edge, LOCAL, client), START.structure)
        assert (update.client, update.model.decode().vector.tolist()) == (client, expected)
    assert ClientUpdate.read(fetch(edge, LOCAL, "client-0"), START.structure).client == "client-0"  # once more
    with pytest.raises(MessageError, match=f"edge-0 has nothing of client-1 for {LOCAL}"):
        fetch(edge, LOCAL, "client-1")


def test_what_is_fetched_is_what_came(ledger: Ledger) -> None:
    edge, clients = aggregator(ledger, 3), crowd()
    gather(edge, clients, LOCAL, errand(1))
    sent = clients.local(1, ClientErrand(download(START), "edge-0", 1, 0)).write()
    assert fetch(edge, LOCAL, "client-1").object_id == sent.object_id  # a hash of everything in it


def test_the_ledger_tells_the_errand(ledger: Ledger) -> None:
    clients = crowd()
    gather(aggregator(ledger, 3), clients, LOCAL, errand(1, root_round=4))
    assert [(one.edge, one.root_round, one.edge_round) for one in clients.asked] == [("edge-0", 5, 8)]
    sent, accepted = events(ledger, "send", "accept")
    where = {"tier": "edge", "node": "edge-0", "round": 4, "peer": "client-1", "task": "local", "hop": "access"}
    traffic = {"parameters": 2, "payload_bytes": 8, "structure": START.structure.id}
    asked = ClientErrand(download(START), "edge-0", 5, 8).write()  # after four root rounds of two edge rounds
    assert sent == {"event": "send", **where, **traffic, "encoded_bytes": content_bytes(asked)}
    assert accepted.items() >= {"event": "accept", **where, **traffic, "samples": 30, "loss": 2.0}.items()


# --- images -----------------------------------------------------------------------------------------


def test_images(ledger: Ledger) -> None:
    edge = aggregator(ledger, 3)
    gathered = gather(edge, crowd(), DRAW, errand(0, 1, 2, root_round=3, images=5))
    assert gathered.clients == NAMES
    assert (gathered.down, gathered.up) == (Traffic(3, 6, 24), Traffic(3, 0, 3 * 5 * 64))
    drawing = Drawing.read(fetch(edge, DRAW, "client-2", 3), (5, 1, 8, 8))
    np.testing.assert_array_equal(drawing.images, np.full((5, 1, 8, 8), 2, np.uint8))
    assert [event["payload_bytes"] for event in events(ledger, "accept")] == [320] * 3


# --- what clients say of a model --------------------------------------------------------------------


def test_assessments_of_a_model_and_of_generated_images(ledger: Ledger) -> None:
    edge, clients, images = aggregator(ledger, 3), crowd(), np.arange(2 * 64, dtype=np.uint8).reshape(2, 1, 8, 8)
    content = Errand(download(START), 3, NAMES, 2, generated=images).write()
    gathered = gather(edge, clients, ASSESS, content)
    assert gathered.clients == NAMES
    assert (gathered.down, gathered.up) == (Traffic(3, 6, 24), Traffic(3, 0, 0))
    for one in clients.asked:
        np.testing.assert_array_equal(one.generated, images)
    told = Assessment.read(fetch(edge, ASSESS, "client-2", 3))
    assert told.loss == [5.0] * 10  # of weights 0 and 10
    assert told.distances is not None and told.distances.nearest == [2.0, 2.0]
    assert {event["task"] for event in events(ledger, "send", "accept")} == {"assess"}


# --- who gives nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "wrong", "event", "reason"),
    [
        (LOCAL, OSError("no disk"), "lost", "OSError('no disk')"),
        (DRAW, OSError("no disk"), "lost", "OSError('no disk')"),
        (LOCAL, {"client": "client-0"}, "refuse", "comes from 'client-0'"),
        (DRAW, {"client": "client-0"}, "refuse", "comes from 'client-0'"),
        (DRAW, {"images": np.zeros((5, 3, 8, 8), np.uint8)}, "refuse", "must be uint8 of shape (5, 1, 8, 8)"),
        (DRAW, {"images": np.zeros((4, 1, 8, 8), np.uint8)}, "refuse", "must be uint8 of shape (5, 1, 8, 8)"),
        (DRAW, {"images": np.zeros((5, 1, 8, 8), np.float32)}, "refuse", "must be uint8 of shape (5, 1, 8, 8)"),
        (ASSESS, OSError("no disk"), "lost", "OSError('no disk')"),
        (ASSESS, {"client": "client-0"}, "refuse", "comes from 'client-0'"),
        (ASSESS, {"loss": [float("nan")] * 10}, "refuse", "lists of finite numbers"),
        (ASSESS, {"images": 1000}, "refuse", "more than evaluation.own_images=100"),
        (ASSESS, {"distances": None}, "refuse", "distances must come where"),
        (LOCAL, {"model": exact(packed(1.0))}, "refuse", "instead of"),
        (LOCAL, {"model": replace(exact(START), data=b"")}, "refuse", "float32 data has 0 bytes instead of 8"),
        (LOCAL, {"model": exact(START), "loss": float("inf")}, "refuse", "'loss' must be a finite number"),
        (LOCAL, {"model": replace(exact(START), change=True)}, "refuse", "is a change where weights were asked for"),
    ],
)
def test_who_gives_nothing_sound_is_left_out(ledger: Ledger, task: str, wrong: object, event: str, reason: str) -> None:
    edge = aggregator(ledger, 3)
    gathered = gather(edge, crowd({1: wrong}), task, errand(0, 1, 2, images=5))
    assert gathered.clients == ["client-0", "client-2"]
    assert (gathered.down.messages, gathered.up.messages) == (3, 2)
    [logged] = events(ledger, "lost", "refuse")
    assert (logged["event"], logged["peer"], reason in str(logged["reason"])) == (event, "client-1", True)
    with pytest.raises(MessageError, match="has nothing of client-1"):
        fetch(edge, task, "client-1")
    fetch(edge, task, "client-2")


def test_other_answers_than_those_of_the_task(ledger: Ledger) -> None:
    class Confused(Errant):
        def drawing(self, index: int, errand: ClientErrand) -> Drawing:
            return self.local(index, errand)  # type: ignore[return-value]

    clients = Confused([[10.0, 0.0]], [1.0], config=small_config())
    clients.wrong, clients.asked = {}, []
    assert gather(aggregator(ledger, 1), clients, DRAW, errand(0, images=2)).clients == []
    assert "unknown records" in str(events(ledger, "refuse")[0]["reason"])


def test_nobody_is_asked(ledger: Ledger) -> None:
    gathered = gather(aggregator(ledger, 3), crowd(), LOCAL, errand())
    assert (gathered.clients, gathered.down, gathered.up) == ([], NO_TRAFFIC, NO_TRAFFIC)


def test_clients_of_another_edge(ledger: Ledger) -> None:
    with pytest.raises(MessageError, match="edge-0 has no clients client-7"):
        gather(aggregator(ledger, 3), crowd(), LOCAL, errand(0, 7))
    assert events(ledger, "send") == []


# --- what is kept -----------------------------------------------------------------------------------


def test_an_errand_forgets_the_one_before(ledger: Ledger) -> None:
    edge = aggregator(ledger, 3)
    gather(edge, crowd(), LOCAL, errand(0, 1))
    gather(edge, crowd(), DRAW, errand(1, root_round=2, images=1))
    with pytest.raises(MessageError):
        fetch(edge, LOCAL, "client-0")
    with pytest.raises(MessageError):
        fetch(edge, DRAW, "client-1", 1)  # of another round
    fetch(edge, DRAW, "client-1", 2)
    assert len(files(edge.folder)) == 1


def test_a_root_round_forgets_the_errand_before(ledger: Ledger) -> None:
    edge, clients = aggregator(ledger, 3), crowd()
    gather(edge, clients, LOCAL, errand(0, 1))
    edge.run_round(clients.grid(), order([0], root_round=1, first=0))
    assert files(edge.folder) == []


def test_gifts_outlive_the_edges_process(ledger: Ledger) -> None:
    gather(aggregator(ledger, 3), crowd(), LOCAL, errand(0, 1))
    assert ClientUpdate.read(fetch(aggregator(ledger, 3), LOCAL, "client-1"), START.structure).client == "client-1"


@pytest.mark.parametrize("client", ["../../members", "..", "/etc/passwd", ""])
def test_a_name_that_is_a_path_leads_nowhere(ledger: Ledger, client: str) -> None:
    edge = aggregator(ledger, 3)
    gather(edge, crowd(), LOCAL, errand(0))
    with pytest.raises(MessageError):
        fetch(edge, LOCAL, client)


# --- parts of the clients' own ----------------------------------------------------------------------


def test_clients_draw_with_their_own_parts(ledger: Ledger) -> None:
    """Who has trained here gets only what travels; who has not, the whole network."""
    edge, clients = aggregator(ledger, 3, "exchange=udec"), crowd(None, "exchange=udec")
    start, grid = three_parts([0.0], [10.0], [20.0]), clients.grid()
    edge.run_round(grid, order([0], [0], start=download(start, shared=SHARED["udec"]), root_round=1, first=0))
    content = errand(0, 1, start=start, root_round=1, images=2, kind="udec", parts=SHARED["udec"])
    gathered = Gathered.read(edge.gather(grid, DRAW, content))
    assert gathered.clients == ["client-0", "client-1"]
    assert gathered.down == Traffic(2, 1 + 3, 4 + 12)
    # The errand changes nothing of how the edge trains: client 1's first contact is still to come.
    edge.run_round(grid, order([0, 1], start=download(start, shared=SHARED["udec"]), root_round=2, first=2))
    assert [event["parameters"] for event in events(ledger, "send")][-2:] == [1, 3]


def test_a_client_that_fails_at_an_errand_gets_the_whole_network_the_next_time(ledger: Ledger) -> None:
    """It may have lost its disk; one whose answer was refused has what it was sent."""
    edge, clients = aggregator(ledger, 3, "exchange=udec"), crowd(None, "exchange=udec")
    start, grid = three_parts([0.0], [10.0], [20.0]), clients.grid()
    edge.run_round(grid, order([0, 1, 2], start=download(start, shared=SHARED["udec"]), root_round=1, first=0))
    clients.wrong = {1: OSError("no disk"), 2: {"client": "client-0"}}
    gather(edge, clients, DRAW, errand(0, 1, 2, start=start, root_round=1, images=2, kind="udec"))
    edge.run_round(grid, order([0, 1, 2], start=download(start, shared=SHARED["udec"]), root_round=2, first=2))
    assert [event["parameters"] for event in events(ledger, "send")][-3:] == [1, 3, 1]


def test_a_client_that_fails_while_it_only_measures_is_sent_what_it_would_be_without(ledger: Ledger) -> None:
    edge, clients = aggregator(ledger, 3, "exchange=udec"), crowd({1: OSError("no memory")}, "exchange=udec")
    start, grid = three_parts([0.0], [10.0], [20.0]), clients.grid()
    edge.run_round(grid, order([0, 1, 2], start=download(start, shared=SHARED["udec"]), root_round=1, first=0))
    gathered = gather(edge, clients, ASSESS, errand(0, 1, 2, start=start, root_round=1, kind="udec"))
    assert gathered.clients == ["client-0", "client-2"]
    edge.run_round(grid, order([0, 1, 2], start=download(start, shared=SHARED["udec"]), root_round=2, first=2))
    assert [event["parameters"] for event in events(ledger, "send")][-3:] == [1, 1, 1]


def test_an_edge_that_lost_its_disk_says_so(ledger: Ledger) -> None:
    start = three_parts([0.0], [10.0], [20.0])
    content = errand(0, start=start, root_round=1, images=2, kind="udec", parts=SHARED["udec"])
    with pytest.raises(Exception, match="edge-0 has no model of structure"):
        gather(aggregator(ledger, 3, "exchange=udec"), crowd(None, "exchange=udec"), DRAW, content)


def test_local_models_are_coded_as_weights(ledger: Ledger, tmp_path: Path) -> None:
    """... since there is nothing that a change could count from."""
    edge, clients = aggregator(ledger, 3, "codec=int4"), crowd(None, "codec=int4")
    gather(edge, clients, LOCAL, errand(0))
    update = ClientUpdate.read(fetch(edge, LOCAL, "client-0"), START.structure)
    assert (update.model.kind, update.model.change) == ("int8", False)


def test_pixels_of_another_type_are_refused() -> None:
    sound = Drawing("client-0", np.zeros((2, 1, 8, 8), np.uint8), True).write()
    assert Drawing.read(sound, (2, 1, 8, 8)).images.shape == (2, 1, 8, 8)
    sound["pixels"] = ArrayRecord({"pixels": Array(np.zeros((2, 1, 8, 8), np.uint8))})
    with pytest.raises(MessageError, match="must be uint8 of shape"):
        Drawing.read(sound, (2, 1, 8, 8))

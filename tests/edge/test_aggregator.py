"""An edge's averages by hand, its roster, and what its ledger tells."""

from itertools import permutations

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import Crowd, SlowGrid, download, events, packed
from small_edge import START, aggregator, files, model_of, order, two, update_of

from fedphd.common.errors import RegistrationError
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import ClientUpdate, Profile, Roster, TrainOrder, Unable, content_bytes
from fedphd.common.wire.parts import PARTS
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import Traffic

# --- averages by hand -------------------------------------------------------------------------------


def test_two_edge_rounds(ledger: Ledger) -> None:
    update = update_of(aggregator(ledger, 2).run_round(two().grid(), order([0, 1], [0, 1])))
    # First (10 * 1 + 30 * 5) / 40 = 4 above the start, then (10 * (4 + 1) + 30 * (4 + 5)) / 40 = 8.
    assert model_of(update) == [8.0, 18.0]
    assert (update.edge, update.root_round) == ("edge-0", 3)
    assert update.q == [0.25, 0.75]
    assert (update.samples, update.latest_samples) == (80, 40)
    for one in update.rounds:
        assert (one.clients, one.samples) == (["client-0", "client-1"], 40)
        assert one.loss == 1.75  # client i reports 1 + i: (10 * 1 + 30 * 2) / 40
        assert one.down == one.up == Traffic(2, 4, 16)  # two clients, two float32 numbers each


def test_other_clients_in_each_edge_round(ledger: Ledger) -> None:
    update = update_of(aggregator(ledger, 2).run_round(two().grid(), order([0], [], [1])))
    assert model_of(update) == [6.0, 16.0]  # 1, stays, then 5 more
    assert update.q == [0.25, 0.75]  # over the root round, not its last edge round
    assert [one.samples for one in update.rounds] == [10, 0, 30]
    assert [one.loss for one in update.rounds] == [1.0, None, 2.0]


def test_the_latest_images_are_those_of_the_latest_edge_round_with_clients(ledger: Ledger) -> None:
    update = update_of(aggregator(ledger, 2).run_round(two().grid(), order([0], [1], [])))
    assert (update.samples, update.latest_samples) == (40, 30)


def test_an_edge_without_clients_keeps_its_model(ledger: Ledger) -> None:
    update = update_of(aggregator(ledger, 2).run_round(two().grid(), order([], [])))
    assert update.model.decode().hash == START.hash
    assert (update.samples, update.q) == (0, [0.5, 0.5])


def test_weights_by_homogeneity(ledger: Ledger) -> None:
    by_score = ["weighting.edge.kind=homogeneity", "+weighting.edge.a=200", "+weighting.edge.b=-400"]
    crowd = Crowd([[150.0, 150.0, 0.0, 0.0], [50.0, 50.0, 50.0, 50.0]], [1.0, 4.0])
    edge = aggregator(ledger, 2, *by_score, "+weighting.edge.unit=image")
    # u_0 = 300 + 200 * 1.5 - 400 = 200, u_1 = 200 + 200 * 2 - 400 = 200
    assert model_of(update_of(edge.run_round(crowd.grid(), order([0, 1])))) == [2.5, 12.5]


def test_the_unit_of_an_edges_weights_is_a_client_of_this_edge(ledger: Ledger) -> None:
    by_score = ["weighting.edge.kind=homogeneity", "+weighting.edge.a=1", "+weighting.edge.b=-2"]
    crowd = Crowd([[150.0, 150.0, 0.0, 0.0], [75.0, 75.0, 75.0, 75.0], [0.0, 0.0, 0.0, 600.0]], [1.0, 4.0, 9.0])
    edge = aggregator(ledger, 3, *by_score)  # n_bar = 1200 / 3 = 400, the client included that does not train
    # u_0 = 300 + 400 * 1.5 - 800 = 100, u_1 = 300 + 400 * 2 - 800 = 300
    assert model_of(update_of(edge.run_round(crowd.grid(), order([0, 1])))) == [3.25, 13.25]


def test_clients_are_told_their_rounds_and_phase(ledger: Ledger) -> None:
    seen: list[TrainOrder] = []

    def note(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        seen.append(task)
        return update.write()

    crowd = two()
    crowd.replies = {0: note}
    aggregator(ledger, 2).run_round(crowd.grid(), order([0, 1], [0, 1], first=6, sparse=True))
    assert [(task.root_round, task.edge_round, task.sparse) for task in seen] == [(3, 6, True), (3, 7, True)]


@pytest.mark.parametrize("ranks", list(permutations(range(3))))
def test_the_order_of_arrival_does_not_matter(ledger: Ledger, ranks: tuple[int, ...]) -> None:
    # In float64, (1 + 1e17) - 1e17 = 0 but (1e17 - 1e17) + 1 = 1: the sum runs as the plan says.
    crowd = Crowd([[1.0, 2.0], [2.0, 1.0], [1.5, 1.5]], [1.0, 1e17, -1e17])
    edge = aggregator(ledger, 3)
    grid = SlowGrid(crowd.grid(), {node: 2 * rank for node, rank in enumerate(ranks, start=1)})
    update = update_of(edge.run_round(grid, order([0, 1, 2], start=packed(0.0, 0.0))))
    assert model_of(update) == [0.0, 0.0]
    assert update.rounds[0].clients == ["client-0", "client-1", "client-2"]
    arrived = [event["peer"] for event in events(ledger, "accept")]
    assert arrived == [f"client-{client}" for client in np.argsort(ranks)]
    assert files(edge.spool) == []


# --- orders and registration ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (order([0, 7], [8]), "edge-0 has no clients client-7, client-8"),
        (RecordDict(), "no ConfigRecord 'order'"),
        (order([0, 0]), "has a name twice"),
    ],
)
def test_unsound_orders_are_refused(ledger: Ledger, content: RecordDict, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        aggregator(ledger, 2).run_round(two().grid(), content)
    assert events(ledger, "send") == []


def test_the_roster(ledger: Ledger) -> None:
    roster = Roster.read(aggregator(ledger, 2).register(two().grid()))
    assert roster.edge == "edge-0"
    assert [(one.client, one.samples, one.counts) for one in roster.profiles] == [
        ("client-0", 10, [10.0, 0.0]),
        ("client-1", 30, [0.0, 30.0]),
    ]
    assert events(ledger, "register")[0]["clients"] == ["client-0", "client-1"]


def test_the_roster_says_who_cannot_take_part(ledger: Ledger) -> None:
    crowd = two()
    crowd.unable = {1: "data.path=DATA-PATH: no such file or folder"}
    edge = aggregator(ledger, 2)
    roster = Roster.read(edge.register(crowd.grid()))
    assert [one.client for one in roster.profiles] == ["client-0"]
    assert roster.unable == [Unable("client-1", "data.path=DATA-PATH: no such file or folder")]
    assert events(ledger, "register") == []
    with pytest.raises(RegistrationError, match=r"^client-1 cannot take part: data.path=DATA-PATH: no such"):
        edge.run_round(crowd.grid(), order([0]))


def test_clients_register_once(ledger: Ledger) -> None:
    asked: list[int] = []
    crowd = two()
    profile = crowd.profile

    def note(index: int) -> Profile:
        asked.append(index)
        return profile(index)

    crowd.profile = note  # type: ignore[method-assign]
    edge = aggregator(ledger, 2)
    edge.register(crowd.grid())
    once = len(asked)
    edge.run_round(crowd.grid(), order([0]))
    assert once == 2
    assert asked == [0, 1, 0]  # the last one is client 0's own look at its id when it trains


def test_the_ledger_tells_the_round(ledger: Ledger) -> None:
    crowd = two()
    content = TrainOrder(download(START), "edge-0", 3, 4, False, PARTS, final=False).write()
    aggregator(ledger, 2).run_round(crowd.grid(), order([0, 1]))
    lines = events(ledger)
    assert [line["event"] for line in lines] == ["send", "send", "accept", "accept", "aggregate"]
    traffic = {"hop": "access", "parameters": 2, "payload_bytes": 8, "structure": START.structure.id}
    where = {"tier": "edge", "node": "edge-0", "round": 3, "edge_round": 4}
    assert lines[0] == {"event": "send", **where, "peer": "client-0", "encoded_bytes": content_bytes(content)} | traffic
    assert lines[3].items() >= ({"event": "accept", **where, "peer": "client-1", "samples": 30} | traffic).items()
    expected = {"event": "aggregate", **where, "clients": ["client-0", "client-1"], "samples": 40, "loss": 1.75}
    assert lines[4].items() >= expected.items()


def test_aggregation_of_one_model_by_many_changes_no_bit(ledger: Ledger) -> None:
    odd = PackedModel(START.structure, np.array([0.1, -3.3e-7], np.float32))
    crowd = Crowd([[7.0, 6.0], [1.0, 2.0], [100.0, 1.0]], [0.0] * 3)
    content = order(*[[0, 1, 2]] * 3, start=odd)
    update = update_of(aggregator(ledger, 3).run_round(crowd.grid(), content))
    assert update.model.decode().hash == odd.hash

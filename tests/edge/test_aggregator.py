from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from math import inf
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Error, RecordDict
from helpers import NEVER, Crowd, Reply, SlowGrid, events, packed, small_config
from scripted import Clock, Node, ScriptedGrid

import common.flower.exchange
import common.flower.roll_call
from common.flower.exchange import NODE_GONE
from common.ledger import Ledger
from common.messages import ClientUpdate, EdgeUpdate, Roster, RoundOrder, TrainOrder, content_bytes
from common.packing import PackedModel
from common.quorum import QuorumError
from common.records import MessageError
from edge.aggregator import EdgeAggregator

START = packed(0.0, 10.0)


def aggregator(ledger: Ledger, clients: int, *overrides: str) -> EdgeAggregator:
    config = small_config(f"topology.clients={clients}", "topology.edges=1", *overrides)
    return EdgeAggregator("edge-0", config, ledger, ledger.path.parent / "spool")


def order(*assignment: list[int], first: int = 4, sparse: bool = False, start: PackedModel = START) -> RecordDict:
    named = [[f"client-{i}" for i in clients] for clients in assignment]
    return RoundOrder(start, 3, first, named, sparse).write()


def update_of(content: RecordDict) -> EdgeUpdate:
    return EdgeUpdate.read(content, START.structure)


def two() -> Crowd:
    """Client 0 has 10 images and adds 1, client 1 has 30 and adds 5."""
    return Crowd([[10.0, 0.0], [0.0, 30.0]], [1.0, 5.0])


# --- averages by hand -------------------------------------------------------------------------------


def test_two_edge_rounds(ledger: Ledger) -> None:
    update = update_of(aggregator(ledger, 2).run_round(two().grid(), order([0, 1], [0, 1])))
    # First (10 * 1 + 30 * 5) / 40 = 4 above the start, then (10 * (4 + 1) + 30 * (4 + 5)) / 40 = 8.
    np.testing.assert_array_equal(update.model.vector, [8.0, 18.0])
    assert (update.edge, update.root_round) == ("edge-0", 3)
    assert update.q == [0.25, 0.75]
    assert (update.samples, update.latest_samples) == (80, 40)
    for one in update.rounds:
        assert (one.clients, one.samples) == (["client-0", "client-1"], 40)
        assert one.loss == 1.75  # client i reports 1 + i: (10 * 1 + 30 * 2) / 40
        assert (one.down_bytes, one.up_bytes) == (16, 16)  # two clients, two float32 numbers


def test_other_clients_in_each_edge_round(ledger: Ledger) -> None:
    update = update_of(aggregator(ledger, 2).run_round(two().grid(), order([0], [], [1])))
    np.testing.assert_array_equal(update.model.vector, [6.0, 16.0])  # 1, stays, then 5 more
    assert update.q == [0.25, 0.75]  # over the root round, not its last edge round
    assert [one.samples for one in update.rounds] == [10, 0, 30]
    assert [one.loss for one in update.rounds] == [1.0, None, 2.0]


def test_an_edge_without_clients_keeps_its_model(ledger: Ledger) -> None:
    update = update_of(aggregator(ledger, 2).run_round(two().grid(), order([], [])))
    assert update.model.vector.tobytes() == START.vector.tobytes()
    assert (update.samples, update.q) == (0, [0.5, 0.5])


def test_weights_by_homogeneity(ledger: Ledger) -> None:
    by_score = ["weighting.edge.kind=homogeneity", "+weighting.edge.a=200", "+weighting.edge.b=-400"]
    crowd = Crowd([[150.0, 150.0, 0.0, 0.0], [50.0, 50.0, 50.0, 50.0]], [1.0, 4.0])
    update = update_of(aggregator(ledger, 2, *by_score).run_round(crowd.grid(), order([0, 1])))
    # u_0 = 300 + 200 * 1.5 - 400 = 200, u_1 = 200 + 200 * 2 - 400 = 200
    np.testing.assert_array_equal(update.model.vector, [2.5, 12.5])


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
    np.testing.assert_array_equal(update.model.vector, [0.0, 0.0])
    assert update.rounds[0].clients == ["client-0", "client-1", "client-2"]
    arrived = [event["peer"] for event in events(ledger, "accept")]
    assert arrived == [f"client-{client}" for client in np.argsort(ranks)]
    assert list(edge.spool.glob("*")) == []


# --- what does not count ----------------------------------------------------------------------------


def with_vector(vector: np.ndarray) -> Reply:
    def write(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        content = update.write()
        content["model"] = ArrayRecord({"vector": Array(vector)})
        return content

    return write


def with_changes(**changes: object) -> Reply:
    return lambda update, task: replace(update, **changes).write()


def without(name: str) -> Reply:
    def write(update: ClientUpdate, task: TrainOrder) -> RecordDict:
        content = update.write()
        del content[name]
        return content

    return write


def oversize(update: ClientUpdate, task: TrainOrder) -> RecordDict:
    content = update.write()
    sound = content["model"]["vector"]
    content["model"] = ArrayRecord({"vector": Array("float32", (2,), sound.stype, sound.data + bytes(10_000))})
    return content


def failing(update: ClientUpdate, task: TrainOrder) -> RecordDict:
    raise MemoryError("too little memory")


UNSOUND: list[tuple[str, Reply, str]] = [
    ("lost", failing, "error 2: MemoryError('too little memory')"),
    ("refuse", with_changes(client="client-0"), "comes from 'client-0'"),
    ("refuse", with_changes(client="client-9"), "comes from 'client-9'"),
    ("refuse", with_changes(edge_round=3), "is for edge round 3, not 4"),
    ("refuse", with_changes(samples=31), "claims 31 images; 30 were registered"),
    ("refuse", with_changes(samples=0), "claims 0 images; 30 were registered"),
    ("refuse", with_changes(samples=-5), "'samples' must be a whole number of at least 0, not -5"),
    ("refuse", with_changes(loss=float("nan")), "'loss' must be a finite number, not nan"),
    ("refuse", with_changes(model=packed(1.0)), "instead of"),
    ("refuse", with_changes(model=packed(1.0, 2.0, name="v")), "instead of"),
    ("refuse", with_vector(np.array([np.nan, 0], np.float32)), "model has numbers that are not finite"),
    ("refuse", with_vector(np.array([0, -np.inf], np.float32)), "model has numbers that are not finite"),
    ("refuse", with_vector(np.zeros(2)), "model is float64(2,) instead of float32(2,)"),
    ("refuse", with_vector(np.zeros(3, np.float32)), "model is float32(3,) instead of float32(2,)"),
    ("refuse", oversize, "model has 10136 bytes, more than 2 float32 numbers take"),
    ("refuse", without("model"), "no model"),
    ("refuse", without("report"), "no ConfigRecord 'report'"),
    ("refuse", without("structure"), "no ConfigRecord 'structure'"),
    ("refuse", lambda update, task: RecordDict(), "no ConfigRecord"),
    ("refuse", lambda update, task: task.write(), "unknown records"),
]


@pytest.mark.parametrize(("event", "reply", "reason"), UNSOUND, ids=[reason for _, _, reason in UNSOUND])
def test_unsound_answers_do_not_count(ledger: Ledger, event: str, reply: Reply, reason: str) -> None:
    crowd = Crowd([[10.0, 0.0], [0.0, 30.0], [0.0, 10.0]], [1.0, 100.0, 2.0], replies={1: reply})
    update = update_of(aggregator(ledger, 3).run_round(crowd.grid(), order([0, 1, 2])))
    np.testing.assert_array_equal(update.model.vector, [1.5, 11.5])  # (10 * 1 + 10 * 2) / 20
    [one] = update.rounds
    assert (one.clients, one.samples) == (["client-0", "client-2"], 20)
    assert (one.down_bytes, one.up_bytes) == (3 * 8, 2 * 8)
    assert update.q == [0.5, 0.5]  # of the two that counted
    [logged] = events(ledger, "refuse", "lost")
    assert reason in str(logged.pop("reason"))
    where = {"tier": "edge", "node": "edge-0", "round": 3, "edge_round": 4, "peer": "client-1"}
    assert logged == {"event": event} | where
    assert [accepted["peer"] for accepted in events(ledger, "accept")] == ["client-0", "client-2"]


def test_a_late_answer_does_not_count(ledger: Ledger) -> None:
    edge = aggregator(ledger, 2, "topology.round_timeout=0.3")
    grid = SlowGrid(two().grid(), {1: NEVER})
    update = update_of(edge.run_round(grid, order([0, 1])))
    np.testing.assert_array_equal(update.model.vector, [5.0, 15.0])
    [lost] = events(ledger, "lost")
    assert (lost["peer"], lost["reason"]) == ("client-0", "error 4: no answer within 0.3 s")


def test_a_late_answer_does_not_count_in_the_next_round_either(ledger: Ledger) -> None:
    """Client 0's first answer is ready only in the second edge round, when its second one is awaited."""
    edge = aggregator(ledger, 2, "topology.round_timeout=0.3")

    class Late(SlowGrid):
        def pull_messages(self, message_ids):
            stale = [key for key, left in self._left.items() if left > 0] if len(self._left) > 4 else []
            for key in stale:
                self._left[key] = 0
            return super().pull_messages([*message_ids, *stale])

    grid = Late(two().grid(), {1: 50})
    update = update_of(edge.run_round(grid, order([0, 1], [0, 1])))
    assert [one.clients for one in update.rounds] == [["client-1"], ["client-0", "client-1"]]
    # 5 above the start, then (10 * (5 + 1) + 30 * (5 + 5)) / 40 = 9.
    np.testing.assert_array_equal(update.model.vector, [9.0, 19.0])


def test_two_nodes_that_claim_one_client(ledger: Ledger) -> None:
    crowd = Crowd([[10.0, 0.0], [0.0, 30.0], [0.0, 30.0]], [1.0, 5.0, 1000.0], names={2: "client-1"})
    update = update_of(aggregator(ledger, 2).run_round(crowd.grid(), order([0, 1])))
    np.testing.assert_array_equal(update.model.vector, [4.0, 14.0])
    assert len(events(ledger, "send")) == 2


def test_one_bad_client_cannot_stop_the_others_however_large_its_numbers(ledger: Ledger) -> None:
    """A loss that is finite, but whose weighted sum is not, once broke the ledger's line."""
    crowd = Crowd([[10.0, 0.0], [0.0, 30.0]], [1.0, 5.0], replies={1: with_changes(loss=1.7e308)})
    update = update_of(aggregator(ledger, 2).run_round(crowd.grid(), order([0, 1])))
    assert update.rounds[0].clients == ["client-0"]


# --- quorum -----------------------------------------------------------------------------------------


def crowd_of(clients: int, sound: int) -> Crowd:
    replies: dict[int, Reply] = dict.fromkeys(range(sound, clients), failing)
    return Crowd([[1.0, 1.0]] * clients, [1.0] * clients, replies=replies)


@pytest.mark.parametrize(("quorum", "clients", "needed"), [(1.0, 3, 3), (0.5, 4, 2), (0.5, 5, 3), (0.01, 5, 1)])
def test_quorum(ledger: Ledger, quorum: float, clients: int, needed: int) -> None:
    edge = aggregator(ledger, clients, f"topology.quorum={quorum}")
    everyone = list(range(clients))
    update = update_of(edge.run_round(crowd_of(clients, needed).grid(), order(everyone)))
    assert len(update.rounds[0].clients) == needed
    said = (
        f"edge-0: edge round 4: {needed - 1} of {clients} clients gave a sound update; "
        f"topology.quorum={quorum:g} needs {needed}"
    )
    with pytest.raises(QuorumError, match=said):
        edge.run_round(crowd_of(clients, needed - 1).grid(), order(everyone))


@pytest.mark.parametrize(("quorum", "clients", "needed"), [(0.28, 25, 7), (0.07, 100, 7)])
def test_a_quorum_is_not_rounded_up_twice(ledger: Ledger, quorum: float, clients: int, needed: int) -> None:
    assert quorum * clients > needed  # in floating point
    edge = aggregator(ledger, clients, f"topology.quorum={quorum}")
    update = update_of(edge.run_round(crowd_of(clients, needed).grid(), order(list(range(clients)))))
    assert len(update.rounds[0].clients) == needed


def test_nothing_stays_in_the_spool_after_a_failure(ledger: Ledger) -> None:
    edge = aggregator(ledger, 3, "topology.quorum=1")
    with pytest.raises(QuorumError):
        edge.run_round(
            Crowd([[1.0, 1.0]] * 3, [1.0] * 3, replies={0: failing}).grid(),  # 1 and 2 wait for 0
            order([0, 1, 2]),
        )
    assert list(edge.spool.glob("*")) == []


# --- clients that go and come back ------------------------------------------------------------------

AWAY = Error(NODE_GONE, "the node is away")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().set(monkeypatch, common.flower.exchange, common.flower.roll_call)


def answers(index: int, *edge_rounds: int) -> list[tuple[float, RecordDict]]:
    """Make what a client of `two` answers, after ten seconds each: who it is, and its updates from the start."""
    crowd = two()
    updates = [crowd.update(index, TrainOrder(START, 3, edge_round, False)).write() for edge_round in edge_rounds]
    return [(10.0, content) for content in (crowd.profile(index).write(), *updates)]


def test_a_restarted_client_gets_its_order_again(ledger: Ledger, clock: Clock) -> None:
    registered, trained = answers(1, 4)
    restarted = Node([registered, (NEVER, RecordDict()), trained], online=[(0.0, 15.0), (16.0, inf)])
    grid = ScriptedGrid(clock, {7: Node(answers(0, 4)), 8: restarted})
    update = update_of(aggregator(ledger, 2, "topology.round_timeout=600").run_round(grid, order([0, 1])))
    np.testing.assert_array_equal(update.model.vector, [4.0, 14.0])
    assert update.rounds[0].down_bytes == 16  # as the plan says; what was sent again, the ledger tells
    [resend] = events(ledger, "resend")
    [_, sent] = events(ledger, "send")
    assert resend == {**sent, "event": "resend", "reason": "the node was restarted"}


def test_a_client_that_is_restarted_while_it_registers(ledger: Ledger, clock: Clock) -> None:
    [registered] = answers(1)
    restarted = Node([(NEVER, RecordDict()), registered], online=[(0.0, 5.0), (6.0, inf)])
    grid = ScriptedGrid(clock, {7: Node([(30.0, answers(0)[0][1])]), 8: restarted})
    roster = Roster.read(aggregator(ledger, 2, "topology.round_timeout=600").register(grid))
    assert [profile.client for profile in roster.profiles] == ["client-0", "client-1"]
    [resend] = events(ledger, "resend")
    assert (resend["peer"], resend["reason"]) == ("a client", "the node was restarted")


def test_a_client_that_stays_away_is_waited_for_once(ledger: Ledger, clock: Clock) -> None:
    gone = Node([*answers(1), (5.0, AWAY), (5.0, AWAY)], online=[(0.0, 15.0)])
    [registered, first] = answers(0, 4)
    second = 10.0, two().update(0, TrainOrder(packed(1.0, 11.0), 3, 5, False)).write()
    grid = ScriptedGrid(clock, {7: Node([registered, first, second]), 8: gone})
    edge = aggregator(ledger, 2, "topology.round_timeout=600", "topology.rejoin_timeout=60")
    update = update_of(edge.run_round(grid, order([0, 1], [0, 1])))
    np.testing.assert_array_equal(update.model.vector, [2.0, 12.0])
    assert [one.clients for one in update.rounds] == [["client-0"], ["client-0"]]
    first_loss, second_loss = events(ledger, "lost")
    assert (first_loss["peer"], second_loss["peer"]) == ("client-1", "client-1")
    assert str(first_loss["reason"]).startswith("error 5: offline; waited 6")
    assert str(second_loss["reason"]).startswith("error 5: offline; waited 0")
    assert clock.seconds < 10.0 + 60.0 + 10.0 + 10.0  # registration, the wait, the second edge round, looks


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


def test_clients_register_once(ledger: Ledger) -> None:
    asked: list[int] = []
    crowd = two()
    profile: Callable = crowd.profile
    crowd.profile = lambda index: (asked.append(index), profile(index))[1]  # type: ignore[method-assign]
    edge = aggregator(ledger, 2)
    edge.register(crowd.grid())
    once = len(asked)
    edge.run_round(crowd.grid(), order([0]))
    assert once == 2
    assert asked == [0, 1, 0]  # the last one is client 0's own look at its id when it trains


def test_the_ledger_tells_the_round(ledger: Ledger, tmp_path: Path) -> None:
    crowd = two()
    content = TrainOrder(START, 3, 4, False).write()
    aggregator(ledger, 2).run_round(crowd.grid(), order([0, 1]))
    lines = events(ledger)
    assert [line["event"] for line in lines] == ["send", "send", "accept", "accept", "aggregate"]
    traffic = {"hop": "access", "payload_bytes": 8, "structure": START.structure.id}
    where = {"tier": "edge", "node": "edge-0", "round": 3, "edge_round": 4}
    assert lines[0] == {"event": "send", **where, "peer": "client-0", "encoded_bytes": content_bytes(content)} | traffic
    assert lines[3].items() >= ({"event": "accept", **where, "peer": "client-1", "samples": 30} | traffic).items()
    expected = {"event": "aggregate", **where, "clients": ["client-0", "client-1"], "samples": 40, "loss": 1.75}
    assert lines[4].items() >= expected.items()


def test_aggregation_of_one_model_by_many_changes_no_bit(ledger: Ledger) -> None:
    odd = PackedModel(START.structure, np.array([0.1, -3.3e-7], np.float32))
    crowd = Crowd([[7.0, 6.0], [1.0, 2.0], [100.0, 1.0]], [0.0] * 3)
    content = RoundOrder(odd, 1, 0, [["client-0", "client-1", "client-2"]] * 3, False).write()
    update = update_of(aggregator(ledger, 3).run_round(crowd.grid(), content))
    assert update.model.vector.tobytes() == odd.vector.tobytes()

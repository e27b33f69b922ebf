"""The edge's ServerApp between a spool and a grid of clients, and what it does when it is killed."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, RecordDict
from flwr.serverapp import Grid
from helpers import Crowd, events, packed, small_config

import edge.app
import edge.spool
from common.config import to_run_config
from common.ledger import read_lines
from common.messages import REGISTER, TRAIN, ClientUpdate, EdgeUpdate, Roster, RoundOrder, TrainOrder
from edge.aggregator import EdgeAggregator
from edge.app import app, serve
from edge.forwarding import ForwardingLedger
from edge.spool import EDGE_KEY, SPOOL_KEY, OrderFailedError, Spool

START = packed(0.0, 10.0)
BOTH = ["client-0", "client-1"]


class KilledError(BaseException):
    """Stands for `kill -9`: nobody catches it."""


class Edge:
    """What an edge's ServerApp is made of; another one on the same folder is the edge started again."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.spool = Spool(folder)
        self.ledger = ForwardingLedger(folder / "ledger.jsonl")
        config = small_config("topology.clients=2", "topology.edges=1", *overrides)
        self.aggregator = EdgeAggregator("edge-0", config, self.ledger, folder / "early", folder / "members.json")

    @contextmanager
    def serving(self, grid: Grid) -> Iterator[Spool]:
        """Serve in a thread, until the end."""
        thread = threading.Thread(target=serve, args=(grid, self.aggregator, self.spool))
        with self.spool.serving():
            thread.start()
            try:
                yield Spool(self.spool.folder)
            finally:
                self.spool.end()
                thread.join()


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.app, "POLL", 0.005)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "1"


def two() -> Crowd:
    """Client 0 has 10 images and adds 1, client 1 has 30 and adds 5: 4 above the start after an edge round."""
    return Crowd([[10.0, 0.0], [0.0, 30.0]], [1.0, 5.0])


def order(*clients: list[str], root_round: int = 1) -> RecordDict:
    return RoundOrder(START, root_round, 4, list(clients), False).write()


def ask(spool: Spool, message_type: str, content: RecordDict) -> RecordDict:
    """Put an order and wait for its answer, as the gateway does."""
    order_id, pause = spool.put_order(message_type, content), threading.Event()
    while (answer := spool.take_answer(order_id)) is None:
        pause.wait(0.005)
    return answer


def update_of(content: RecordDict) -> EdgeUpdate:
    return EdgeUpdate.read(content, START.structure)


def failure(spool: Spool, message_type: str, content: RecordDict) -> str:
    with pytest.raises(OrderFailedError) as caught:
        ask(spool, message_type, content)
    return str(caught.value)


def test_orders_are_answered(folder: Path) -> None:
    with Edge(folder).serving(two().grid()) as spool:
        roster = Roster.read(ask(spool, REGISTER, RecordDict()))
        first = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
        second = update_of(ask(spool, TRAIN, order(["client-0"], root_round=2)))
    assert [profile.client for profile in roster.profiles] == BOTH
    np.testing.assert_array_equal(first.model.vector, [8.0, 18.0])
    np.testing.assert_array_equal(second.model.vector, [1.0, 11.0])


def test_each_event_travels_to_the_root_once_and_stays_here(folder: Path) -> None:
    edge_tier = Edge(folder)
    with edge_tier.serving(two().grid()) as spool:
        told = Roster.read(ask(spool, REGISTER, RecordDict())).events
        told += update_of(ask(spool, TRAIN, order(BOTH, BOTH))).events
        told += update_of(ask(spool, TRAIN, order(BOTH, root_round=2))).events
    assert [{**event, "tier": "edge", "node": "edge-0"} for event in told] == list(read_lines(edge_tier.ledger.path))
    kinds = Counter(event["event"] for event in told)
    assert kinds == {"register": 1, "send": 6, "accept": 6, "aggregate": 3}


def test_an_order_that_fails_is_told_and_the_edge_serves_on(folder: Path) -> None:
    with Edge(folder).serving(two().grid()) as spool:
        assert failure(spool, TRAIN, order(["client-9"])) == "MessageError: edge-0 has no clients client-9"
        assert "MessageError: no ConfigRecord 'order'" in failure(spool, TRAIN, RecordDict())
        assert "does not answer 'evaluate' but query.register, train and query.end" in failure(
            spool, "evaluate", RecordDict()
        )
        np.testing.assert_array_equal(update_of(ask(spool, TRAIN, order(BOTH))).model.vector, [4.0, 14.0])


# --- killed and started again -----------------------------------------------------------------------


class Watched:
    """Two clients that note each order, and may be killed, or kill the edge, in an edge round."""

    def __init__(self, in_edge_round: int, error: BaseException) -> None:
        self.asked: list[tuple[str, int]] = []
        self.in_edge_round, self.error = in_edge_round, error
        self.crowd = two()
        self.crowd.replies = dict.fromkeys((0, 1), self._reply)

    def _reply(self, update: ClientUpdate, task: TrainOrder) -> RecordDict:
        self.asked.append((update.client, task.edge_round))
        if task.edge_round == self.in_edge_round and update.client == "client-1":
            self.in_edge_round = -1  # once
            raise self.error
        return update.write()


def kill_in_second_edge_round(folder: Path) -> Watched:
    clients = Watched(5, KilledError())
    killed = Edge(folder)
    killed.spool.put_order(TRAIN, order(BOTH, BOTH))
    with pytest.raises(KilledError), killed.spool.serving():
        serve(clients.crowd.grid(), killed.aggregator, killed.spool)
    assert clients.asked == [("client-0", 4), ("client-1", 4), ("client-0", 5), ("client-1", 5)]
    clients.asked.clear()
    return clients


def test_an_edge_that_is_killed_between_its_edge_rounds_goes_on_after_the_first(folder: Path, tmp_path: Path) -> None:
    with Edge(tmp_path / "undisturbed").serving(two().grid()) as spool:
        expected = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    clients = kill_in_second_edge_round(folder)
    with Edge(folder).serving(clients.crowd.grid()) as spool:
        update = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    assert clients.asked == [("client-0", 5), ("client-1", 5)]
    assert update.model.hash == expected.model.hash
    assert update.q == expected.q
    for one, other in zip(update.rounds, expected.rounds, strict=True):
        assert (one.clients, one.samples, one.loss) == (other.clients, other.samples, other.loss)
    [restart] = [event for event in update.events if event["event"] == "restart"]
    assert (restart["round"], restart["edge_round"]) == (1, 5)
    for kind in ("send", "accept"):
        told = [(event["edge_round"], event["peer"]) for event in update.events if event["event"] == kind]
        assert told == [(4, "client-0"), (4, "client-1"), (5, "client-0"), (5, "client-1")]
    assert [event["edge_round"] for event in update.events if event["event"] == "aggregate"] == [4, 5]


def test_an_edge_that_is_started_again_knows_its_clients(folder: Path) -> None:
    clients = kill_in_second_edge_round(folder)
    again = Edge(folder)
    assert again.aggregator.membership.complete
    assert again.aggregator.membership.nodes == {"client-0": 1, "client-1": 2}
    assert again.aggregator.membership.profiles["client-1"] == clients.crowd.profile(1)
    np.testing.assert_array_equal(again.aggregator.membership.distribution("client-0"), [1.0, 0.0])


def test_what_is_done_belongs_to_one_order(folder: Path) -> None:
    clients = kill_in_second_edge_round(folder)
    with Edge(folder).serving(clients.crowd.grid()) as spool:
        update = update_of(ask(spool, TRAIN, order(["client-0"], ["client-0"])))
    np.testing.assert_array_equal(update.model.vector, [2.0, 12.0])
    assert clients.asked[-2:] == [("client-0", 4), ("client-0", 5)]


@pytest.mark.parametrize("damage", ["torn", "foreign"])
def test_progress_that_cannot_be_used_is_worth_an_edge_round_not_a_failed_one(folder: Path, damage: str) -> None:
    clients = kill_in_second_edge_round(folder)
    [file] = (folder / "progress").iterdir()
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        Spool(folder).progress(file.stem).save(order(BOTH))
    with Edge(folder).serving(clients.crowd.grid()) as spool:
        update = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    np.testing.assert_array_equal(update.model.vector, [8.0, 18.0])
    assert [edge_round for _, edge_round in clients.asked] == [4, 4, 5, 5]
    assert "restart" not in {event["event"] for event in update.events}


def test_a_failed_order_that_comes_again_goes_on_after_the_edge_rounds_that_are_over(folder: Path) -> None:
    clients = Watched(5, OSError("no disk"))
    edge_tier = Edge(folder, "topology.quorum=1")
    with edge_tier.serving(clients.crowd.grid()) as spool:
        assert "QuorumError: edge-0: edge round 5: 1 of 2" in failure(spool, TRAIN, order(BOTH, BOTH))
        clients.asked.clear()
        update = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    np.testing.assert_array_equal(update.model.vector, [8.0, 18.0])
    assert {edge_round for _, edge_round in clients.asked} == {5}
    assert [event["peer"] for event in events(edge_tier.ledger, "lost")] == ["client-1"]


# --- the app ----------------------------------------------------------------------------------------


@pytest.fixture
def context(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(edge.app, "log_to", lambda _file: None)  # it would change the logging of all tests
    config = small_config("topology.clients=2", "topology.edges=1")
    run_config = {**to_run_config(config, tmp_path / "run"), EDGE_KEY: "edge-0", SPOOL_KEY: str(folder)}
    return Context(run_id=2, node_id=1, node_config={}, state=RecordDict(), run_config=run_config)


def test_the_app_serves_its_spool_until_the_end_and_tidies_up(folder: Path, context: Context) -> None:
    thread = threading.Thread(target=app, args=(two().grid(), context))
    thread.start()
    spool = Spool(folder)
    try:
        update = update_of(ask(spool, TRAIN, order(BOTH)))
        assert spool.served
    finally:
        spool.end()
        thread.join()
    np.testing.assert_array_equal(update.model.vector, [4.0, 14.0])
    assert not spool.served
    left = {file.name for file in folder.iterdir()} - {"lock", "early"}
    assert left == {"end", "ledger.jsonl", "members.json"}


def test_the_app_has_nothing_to_do_for_a_run_that_is_over(folder: Path, context: Context) -> None:
    Spool(folder).end()
    app(two().grid(), context)
    assert not (folder / "orders").exists()


def test_a_second_app_leaves_the_first_one_alone(
    folder: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.spool, "LOCK_PATIENCE", 0.05)
    with Edge(folder).serving(two().grid()) as spool:
        with pytest.raises(edge.spool.SpoolTakenError):
            app(two().grid(), context)
        np.testing.assert_array_equal(update_of(ask(spool, TRAIN, order(BOTH))).model.vector, [4.0, 14.0])

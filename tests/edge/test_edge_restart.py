"""What becomes of a root round when the edge is killed in it and started again."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict
from helpers import events
from served_edge import ServedEdge, ask, failure
from small_edge import model_of, order, two, update_of

import fedphd.edge.app
from fedphd.common.run.events import Accept, Aggregate, Restart, Send
from fedphd.common.wire.messages import TRAIN, ClientUpdate, TrainOrder
from fedphd.edge.app import serve
from fedphd.edge.spool import Spool

BOTH = [0, 1]


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.edge.app, "POLL", 0.005)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "1"


class KilledError(BaseException):
    """Stands for `kill -9`: nobody catches it."""


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
    killed = ServedEdge(folder)
    killed.spool.put_order(TRAIN, order(BOTH, BOTH))
    with pytest.raises(KilledError), killed.spool.serving():
        serve(clients.crowd.grid(), killed.aggregator, killed.spool)
    assert clients.asked == [("client-0", 4), ("client-1", 4), ("client-0", 5), ("client-1", 5)]
    clients.asked.clear()
    return clients


def test_an_edge_that_is_killed_between_its_edge_rounds_goes_on_after_the_first(folder: Path, tmp_path: Path) -> None:
    with ServedEdge(tmp_path / "undisturbed").serving(two().grid()) as spool:
        expected = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    clients = kill_in_second_edge_round(folder)
    with ServedEdge(folder).serving(clients.crowd.grid()) as spool:
        update = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    assert clients.asked == [("client-0", 5), ("client-1", 5)]
    assert update.model == expected.model
    assert update.q == expected.q
    for one, other in zip(update.rounds, expected.rounds, strict=True):
        assert (one.clients, one.samples, one.loss) == (other.clients, other.samples, other.loss)
    [restart] = [event for event in update.events if isinstance(event, Restart)]
    assert (restart.round, restart.edge_round) == (3, 5)
    for kind in (Send, Accept):
        told = [(event.edge_round, event.peer) for event in update.events if isinstance(event, kind)]
        assert told == [(4, "client-0"), (4, "client-1"), (5, "client-0"), (5, "client-1")]
    assert [event.edge_round for event in update.events if isinstance(event, Aggregate)] == [4, 5]


def test_an_edge_that_is_started_again_knows_its_clients(folder: Path) -> None:
    clients = kill_in_second_edge_round(folder)
    again = ServedEdge(folder)
    assert again.aggregator.site.membership.complete
    assert again.aggregator.site.membership.nodes == {"client-0": 1, "client-1": 2}
    assert again.aggregator.site.membership.profiles["client-1"] == clients.crowd.profile(1)
    np.testing.assert_array_equal(again.aggregator.site.membership.distribution("client-0"), [1.0, 0.0])


def test_what_is_done_belongs_to_one_order(folder: Path) -> None:
    clients = kill_in_second_edge_round(folder)
    with ServedEdge(folder).serving(clients.crowd.grid()) as spool:
        update = update_of(ask(spool, TRAIN, order([0], [0])))
    assert model_of(update) == [2.0, 12.0]
    assert clients.asked[-2:] == [("client-0", 4), ("client-0", 5)]


@pytest.mark.parametrize("damage", ["torn", "foreign"])
def test_progress_that_cannot_be_used_is_worth_an_edge_round_not_a_failed_one(folder: Path, damage: str) -> None:
    clients = kill_in_second_edge_round(folder)
    [file] = (folder / "progress").iterdir()
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        Spool(folder).progress(file.stem).save(order(BOTH))
    with ServedEdge(folder).serving(clients.crowd.grid()) as spool:
        update = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    assert model_of(update) == [8.0, 18.0]
    assert [edge_round for _, edge_round in clients.asked] == [4, 4, 5, 5]
    assert Restart not in {type(event) for event in update.events}


def test_a_failed_order_that_comes_again_goes_on_after_the_edge_rounds_that_are_over(folder: Path) -> None:
    clients = Watched(5, OSError("no disk"))
    edge_tier = ServedEdge(folder, "topology.quorum=1")
    with edge_tier.serving(clients.crowd.grid()) as spool:
        assert "QuorumError: edge-0: edge round 5: 1 of 2" in failure(spool, TRAIN, order(BOTH, BOTH))
        clients.asked.clear()
        update = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
    assert model_of(update) == [8.0, 18.0]
    assert {edge_round for _, edge_round in clients.asked} == {5}
    assert [event["peer"] for event in events(edge_tier.ledger, "lost")] == ["client-1"]

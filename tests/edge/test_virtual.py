import threading
import time

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from helpers import Crowd, download, packed, small_config
from small_edge import model_of, update_of

from fedphd.common.flower.delivery import deliver
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import REGISTER, TRAIN, Roster, RoundOrder
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.virtual import VirtualEdgeGrid

START = packed(0.0)


def four() -> Crowd:
    return Crowd([[10.0, 0.0]] * 4, [1.0, 2.0, 3.0, 4.0])


def edges(ledger: Ledger, *overrides: str) -> list[EdgeAggregator]:
    config = small_config(*overrides)
    folder = ledger.path.parent
    return [
        EdgeAggregator(name, config, ledger, folder / name, folder / "state" / name) for name in ("edge-0", "edge-1")
    ]


def order(*clients: str, root_round: int = 1) -> RecordDict:
    return RoundOrder(download(START), root_round, 0, [list(clients)], False).write()


def test_edges_are_nodes_that_register(ledger: Ledger) -> None:
    grid = VirtualEdgeGrid(four().grid(), edges(ledger, "topology.homes=[[0],[0],[1],[0,1]]"))
    assert grid.get_node_ids() == [1, 2]
    replies = deliver(grid, [Message(RecordDict(), node, REGISTER) for node in (1, 2)], 20.0)
    rosters = {one.metadata.src_node_id: Roster.read(one.content) for one in replies}
    assert {node: roster.edge for node, roster in rosters.items()} == {1: "edge-0", 2: "edge-1"}
    assert [one.client for one in rosters[1].profiles] == ["client-0", "client-1", "client-3"]
    assert [one.client for one in rosters[2].profiles] == ["client-2", "client-3"]


def test_each_edge_works_on_its_own_clients(ledger: Ledger) -> None:
    grid = VirtualEdgeGrid(four().grid(), edges(ledger))
    orders = [Message(order("client-0", "client-1"), 1, TRAIN), Message(order("client-3"), 2, TRAIN)]
    updates = {one.metadata.src_node_id: one.content for one in deliver(grid, orders, 20.0)}
    assert model_of(update_of(updates[1], START)) == [1.5]
    assert model_of(update_of(updates[2], START)) == [4.0]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(order("client-9"), 1, TRAIN), "MessageError: edge-0 has no clients client-9"),
        (Message(RecordDict({"x": ConfigRecord()}), 1, TRAIN), "MessageError"),
        (Message(RecordDict(), 1, "evaluate.other"), "KeyError: 'evaluate.other'"),
    ],
)
def test_what_an_edge_raises_becomes_an_error_reply(ledger: Ledger, message: Message, reason: str) -> None:
    [error] = deliver(VirtualEdgeGrid(four().grid(), edges(ledger)), [message], 20.0)
    assert (error.metadata.src_node_id, error.error.code) == (1, 2)
    assert reason in error.error.reason


def test_an_edge_works_on_one_order_after_the_other(ledger: Ledger) -> None:
    """A late edge must not mix its old round with its new one: both would use the same spool folder."""
    entered, let_go, busy = [], threading.Event(), []

    class Slow(EdgeAggregator):
        def run_round(self, grid: Grid, content: RecordDict) -> RecordDict:
            root_round = RoundOrder.read(content).root_round
            busy.append(root_round)
            entered.append((root_round, list(busy)))
            if root_round == 1:
                let_go.wait(20)
            try:
                return super().run_round(grid, content)
            finally:
                busy.remove(root_round)

    first, _ = edges(ledger)
    grid = VirtualEdgeGrid(four().grid(), [Slow("edge-0", first.config, ledger, first.spool, first.folder)])
    [given_up] = deliver(grid, [Message(order("client-0", root_round=1), 1, TRAIN)], 0.05)
    assert given_up.has_error()
    second = grid.push_messages([Message(order("client-1", root_round=2), 1, TRAIN)])
    assert grid.pull_messages(second) == []
    let_go.set()
    replies: list[Message] = []
    while not replies:
        replies = grid.pull_messages(second)
        time.sleep(0.01)
    assert model_of(update_of(replies[0].content, START)) == [2.0]
    assert entered == [(1, [1]), (2, [2])]

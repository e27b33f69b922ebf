"""Clients that go away and come back, or stay away, while their edge waits for them."""

from math import inf

import pytest
from flwr.app import Error, RecordDict
from helpers import NEVER, download, events, packed
from scripted import Clock, Node, ScriptedGrid
from small_edge import START, aggregator, model_of, order, two, update_of

import fedphd.common.flower.delivery
import fedphd.common.flower.roll_call
from fedphd.common.flower.delivery import NODE_GONE
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.messages import Roster, TrainOrder
from fedphd.common.wire.parts import PARTS
from fedphd.common.wire.traffic import Traffic

AWAY = Error(NODE_GONE, "the node is away")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().set(monkeypatch, fedphd.common.flower.delivery, fedphd.common.flower.roll_call)


def task(edge_round: int, start: PackedModel = START) -> TrainOrder:
    return TrainOrder(download(start), "edge-0", 3, edge_round, False, PARTS)


def answers(index: int, *edge_rounds: int) -> list[tuple[float, RecordDict]]:
    """Make what a client of `two` answers, after ten seconds each: who it is, and its updates from the start."""
    crowd = two()
    updates = [crowd.update(index, task(edge_round)).write() for edge_round in edge_rounds]
    return [(10.0, content) for content in (crowd.profile(index).write(), *updates)]


def test_a_restarted_client_gets_its_order_again(ledger: Ledger, clock: Clock) -> None:
    registered, trained = answers(1, 4)
    restarted = Node([registered, (NEVER, RecordDict()), trained], online=[(0.0, 15.0), (16.0, inf)])
    grid = ScriptedGrid(clock, {7: Node(answers(0, 4)), 8: restarted})
    update = update_of(aggregator(ledger, 2, "topology.round_timeout=600").run_round(grid, order([0, 1])))
    assert model_of(update) == [4.0, 14.0]
    assert update.rounds[0].down == Traffic(2, 4, 16)  # as the plan says; what was sent again, the ledger tells
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
    assert (resend["peer"], resend["reason"]) == ("node 8", "the node was restarted")


def test_a_client_that_stays_away_is_waited_for_once(ledger: Ledger, clock: Clock) -> None:
    gone = Node([*answers(1), (5.0, AWAY), (5.0, AWAY)], online=[(0.0, 15.0)])
    [registered, first] = answers(0, 4)
    second = 10.0, two().update(0, task(5, packed(1.0, 11.0))).write()
    grid = ScriptedGrid(clock, {7: Node([registered, first, second]), 8: gone})
    edge = aggregator(ledger, 2, "topology.round_timeout=600", "topology.rejoin_timeout=60")
    update = update_of(edge.run_round(grid, order([0, 1], [0, 1])))
    assert model_of(update) == [2.0, 12.0]
    assert [one.clients for one in update.rounds] == [["client-0"], ["client-0"]]
    first_loss, second_loss = events(ledger, "lost")
    assert (first_loss["peer"], second_loss["peer"]) == ("client-1", "client-1")
    assert str(first_loss["reason"]).startswith("error 5: offline; waited 6")
    assert str(second_loss["reason"]).startswith("error 5: offline; waited 0")
    assert clock.seconds < 10.0 + 60.0 + 10.0 + 10.0  # registration, the wait, the second edge round, looks

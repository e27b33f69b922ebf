"""Sending and awaiting replies, over small grids whose replies come when the test says."""

import tracemalloc
from collections.abc import Iterable
from math import inf

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from helpers import NEVER
from scripted import SUPERLINK, Clock, Node, ScriptedGrid

import fedphd.common.flower.delivery
from fedphd.common.flower.delivery import (
    APP_DIED,
    ATTEMPTS,
    LOOK,
    NO_REPLY,
    NODE_GONE,
    PUSHES,
    UNAVAILABLE,
    Patience,
    deliver,
)
from fedphd.common.flower.grids import BaseGrid
from fedphd.common.flower.private import set_message_id


class ScheduledGrid(BaseGrid):
    """Nodes that answer a message at its n-th poll; nodes without a schedule stay silent.

    Parameters
    ----------
    polls : dict[int, int]
        At which poll for it (from 0) a node's reply is ready.
    unknown : set[int]
        Nodes that messages cannot be pushed to.
    refusal : list
        What pushing to an unknown node returns: Flower's grids differ.
    """

    def __init__(self, polls: dict[int, int], unknown: Iterable[int] = (), refusal: Iterable[None] = ()) -> None:
        super().__init__()
        self.polls = polls
        self.unknown = set(unknown)
        self.refusal = list(refusal)
        self.asked: dict[str, Message] = {}
        self.polled: dict[str, int] = {}

    def get_node_ids(self) -> list[int]:
        return list(self.polls)

    def push_messages(self, messages: Iterable[Message]) -> list[str | None]:
        [message] = messages
        if message.metadata.dst_node_id in self.unknown:
            return list(self.refusal)
        message_id = f"message {len(self.asked)}"
        set_message_id(message, message_id)
        self.asked[message_id] = message
        self.polled[message_id] = 0
        return [message_id]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        replies = []
        for message_id in message_ids:
            assert isinstance(message_id, str)  # as protobuf demands
            due = self.polls.get(self.asked[message_id].metadata.dst_node_id)
            if due is not None and self.polled[message_id] >= due:
                replies += self.replies(self.asked[message_id])
            self.polled[message_id] += 1
        return replies

    def replies(self, asked: Message) -> list[Message]:
        return [reply(asked)]


def reply(asked: Message) -> Message:
    return Message(RecordDict({"x": ConfigRecord({"node": asked.metadata.dst_node_id})}), reply_to=asked)


def ask(*nodes: int) -> list[Message]:
    return [Message(RecordDict(), node, "train") for node in nodes]


def sources(replies: Iterable[Message]) -> list[tuple[int, int | None]]:
    """Source and error code of each reply."""
    return [(one.metadata.src_node_id, one.error.code if one.has_error() else None) for one in replies]


@pytest.mark.parametrize("order", [[2, 3, 4], [4, 3, 2], [3, 4, 2]])
def test_replies_come_in_the_order_of_arrival(order: list[int]) -> None:
    grid = ScheduledGrid({node: rank for rank, node in enumerate(order)})
    assert sources(deliver(grid, ask(2, 3, 4), 5.0)) == [(node, None) for node in order]


def test_silent_nodes_are_given_up() -> None:
    replies = list(deliver(ScheduledGrid({3: 1}), ask(2, 3, 4), 0.2))
    assert sources(replies) == [(3, None), (2, NO_REPLY), (4, NO_REPLY)]
    assert replies[1].error.reason == "no answer within 0.2 s"


def test_what_is_ready_is_taken_however_little_time_is_left() -> None:
    assert sources(deliver(ScheduledGrid({2: 0, 3: NEVER}), ask(2, 3), 0.0)) == [(2, None), (3, NO_REPLY)]


def test_late_replies_are_dropped() -> None:
    grid = ScheduledGrid({2: NEVER})
    assert sources(deliver(grid, ask(2), 0.02)) == [(2, NO_REPLY)]
    grid.polls[2] = 0  # its reply to the first message is ready by now, too
    [second] = deliver(grid, ask(2), 5.0)
    assert second.metadata.reply_to_message_id == "message 1"


def test_one_node_may_get_several_messages() -> None:
    assert sources(deliver(ScheduledGrid({2: 0}), ask(2, 2), 5.0)) == [(2, None), (2, None)]


def test_nothing_to_ask() -> None:
    assert list(deliver(ScheduledGrid({}), [], 5.0)) == []


@pytest.mark.parametrize("refusal", [[None], []])  # Flower over HTTP, Flower in simulation
def test_nodes_that_the_superlink_does_not_know(refusal: list[None]) -> None:
    grid = ScheduledGrid({3: 0}, unknown={2, 4}, refusal=refusal)
    assert sources(deliver(grid, ask(2, 3, 4), 5.0)) == [(2, NO_REPLY), (3, None), (4, NO_REPLY)]


@pytest.mark.parametrize("code", [3, 5])
def test_errors_of_the_superlink_name_the_node_that_was_asked(code: int) -> None:
    class Failing(ScheduledGrid):
        def replies(self, asked: Message) -> list[Message]:
            error = Message(Error(code, "gone"), reply_to=asked)
            error.metadata.__dict__["_src_node_id"] = SUPERLINK
            assert error.metadata.src_node_id == SUPERLINK
            return [error]

    [error] = deliver(Failing({7: 0}), ask(7), 5.0)
    assert (error.metadata.src_node_id, error.error.code, error.error.reason) == (7, code, "gone")


def test_a_node_cannot_answer_in_anothers_place() -> None:
    class Impostor(ScheduledGrid):
        def replies(self, asked: Message) -> list[Message]:
            forged = reply(asked)
            forged.metadata.__dict__["_src_node_id"] = 99
            return [forged]

    [answer] = deliver(Impostor({7: 0}), ask(7), 5.0)
    assert sources([answer]) == [(7, NO_REPLY)]
    assert "99" in answer.error.reason


def test_a_reply_counts_once_and_strangers_not_at_all() -> None:
    class Stuttering(ScheduledGrid):
        def replies(self, asked: Message) -> list[Message]:
            [stranger] = ask(2)
            set_message_id(stranger, "of another round")
            return [reply(stranger), reply(asked), reply(asked)]

    assert sources(deliver(Stuttering({2: 0, 3: 1}), ask(2, 3), 5.0)) == [(2, None), (3, None)]


def test_replies_that_wait_at_the_grid_are_taken_one_by_one() -> None:
    """An aggregator holds one model at a time, however many clients have finished."""
    size = 2**18  # 1 MiB of float32

    class Heavy(ScheduledGrid):
        def replies(self, asked: Message) -> list[Message]:
            return [
                Message(RecordDict({"model": ArrayRecord({"w": Array(np.zeros(size, np.float32))})}), reply_to=asked)
            ]

    tracemalloc.start()
    nodes = range(2, 34)
    assert sum(1 for _ in deliver(Heavy(dict.fromkeys(nodes, 0)), ask(*nodes), 5.0)) == 32
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


# --- nodes that go and come back ---------------------------------------------------------------------

OK = RecordDict({"x": ConfigRecord({"done": True})})
AWAY = Error(NODE_GONE, "the node is away")
REJOIN = 60.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().set(monkeypatch, fedphd.common.flower.delivery)


class Patient:
    """Patience that notes what is sent again: to which node, when, and why."""

    def __init__(self, clock: Clock, rejoin: float = REJOIN) -> None:
        self.clock = clock
        self.resent: list[tuple[int, str]] = []
        self.patience = Patience(rejoin, self._note)

    def _note(self, message: Message, reason: str) -> None:
        self.resent.append((message.metadata.dst_node_id, reason))

    def ask(self, grid: ScriptedGrid, *nodes: int, timeout: float = 1000.0) -> list[tuple[int, int | None]]:
        return sources(deliver(grid, ask(*nodes), timeout, self.patience))


def test_what_a_restarted_node_has_lost_is_sent_again_once(clock: Clock) -> None:
    # Node 7 restarts between two looks: Flower says nothing of it. It then works for a long time.
    grid = ScriptedGrid(clock, {7: Node([(NEVER, OK), (500.0, OK)], online=[(0, 8.3), (8.4, inf)])})
    patient = Patient(clock)
    assert patient.ask(grid, 7) == [(7, None)]
    assert patient.resent == [(7, "the node was restarted")]
    first, second = grid.times_sent_to(7)
    assert first == 0 and 8.4 <= second <= 8.4 + LOOK + 1


def test_each_restart_is_a_loss_of_its_own(clock: Clock) -> None:
    online = [(0, 10.0), (10.5, 30.0), (30.5, inf)]
    grid = ScriptedGrid(clock, {7: Node([(NEVER, OK), (NEVER, OK), (5.0, OK)], online)})
    patient = Patient(clock)
    assert patient.ask(grid, 7) == [(7, None)]
    assert patient.resent == [(7, "the node was restarted")] * 2


def test_what_is_sent_again_is_the_same_message(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: Node([(NEVER, OK), (1.0, OK)], online=[(0, 3.0), (3.5, inf)])})
    asked = Message(OK, 7, "train", ttl=321.0, group_id="2.5")
    seen: list[Message] = []
    [answer] = deliver(grid, [asked], 100.0, Patience(REJOIN, lambda message, _reason: seen.append(message)))
    (_, first), (_, second) = grid.sent
    assert first is asked and seen == [second]
    for message in (first, second):
        meta = message.metadata
        assert (meta.dst_node_id, meta.message_type, meta.ttl, meta.group_id) == (7, "train", 321.0, "2.5")
        assert message.content is OK
    assert answer.content is OK


def test_a_node_that_works_for_long_is_left_in_peace(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: Node([(900.0, OK)])})
    patient = Patient(clock)
    assert patient.ask(grid, 7) == [(7, None)]
    assert patient.resent == []


def test_nodes_of_which_nothing_is_known_at_first_are_asked_once(clock: Clock) -> None:
    """A message to a node that is just coming online waits for it at the SuperLink."""
    grid = ScriptedGrid(clock, {7: Node([(40.0, OK)], online=[(30.0, inf)]), 8: Node([(1.0, OK)])})
    patient = Patient(clock)
    assert patient.ask(grid, 7, 8) == [(8, None), (7, None)]
    assert patient.resent == []


def test_a_node_that_went_away_and_is_back_is_asked_again(clock: Clock) -> None:
    away_and_back = Node([(10.0, AWAY), (5.0, OK)], online=[(0, 10.0), (40.0, inf)])
    grid = ScriptedGrid(clock, {7: away_and_back, 8: Node([(20.0, OK)])})
    patient = Patient(clock)
    assert patient.ask(grid, 7, 8) == [(8, None), (7, None)]
    assert patient.resent == [(7, "error 5: the node is away")]
    assert grid.times_sent_to(7)[1] >= 40.0
    assert patient.patience.gone == set()


def test_a_node_that_stays_away_is_given_up_and_not_waited_for_again(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: Node([(10.0, AWAY)] * 3, online=[(0, 10.0)]), 8: Node([(1.0, OK)] * 3)})
    patient = Patient(clock)
    assert patient.ask(grid, 7, 8) == [(8, None), (7, NODE_GONE)]
    assert patient.patience.gone == {7}
    assert 10.0 + REJOIN <= clock.seconds <= 10.0 + REJOIN + 2 * (LOOK + 1)
    before = clock.seconds
    assert patient.ask(grid, 7, 8) == [(8, None), (7, NODE_GONE)]
    assert clock.seconds - before <= LOOK + 1
    assert patient.resent == []


def test_a_node_that_is_back_from_the_gone_is_waited_for_again(clock: Clock) -> None:
    answers = [(10.0, AWAY), (10.0, AWAY), (1.0, OK)]
    comings = Node(answers, online=[(0, 10.0), (200.0, 208.0), (230.0, inf)])
    grid = ScriptedGrid(clock, {7: comings, 8: Node([(1.0, OK)] * 2)})
    patient = Patient(clock)
    assert patient.ask(grid, 7, 8) == [(8, None), (7, NODE_GONE)]
    clock.seconds = 200.0
    assert patient.ask(grid, 7, 8) == [(8, None), (7, None)]
    assert patient.patience.gone == set()


def test_when_all_nodes_are_away_they_are_still_waited_for(clock: Clock) -> None:
    """An edge with one client, or a SuperLink that was restarted: nobody is online for a while."""
    grid = ScriptedGrid(clock, {7: Node([(10.0, AWAY), (5.0, OK)], online=[(0, 10.0), (40.0, inf)])})
    patient = Patient(clock)
    assert patient.ask(grid, 7) == [(7, None)]
    assert patient.resent == [(7, "error 5: the node is away")]


def test_when_all_nodes_stay_away_they_are_given_up(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: Node(online=[(0, 10.0)]), 8: Node(online=[(0, 11.0)])})
    assert Patient(clock).ask(grid, 7, 8) == [(7, NODE_GONE), (8, NODE_GONE)]
    assert clock.seconds <= 11.0 + REJOIN + 2 * (LOOK + 1)


def test_the_timeout_holds_whatever_nodes_do(clock: Clock) -> None:
    away = Node([(10.0, AWAY)], online=[(0, 10.0)])
    grid = ScriptedGrid(clock, {7: away, 8: Node(), 9: Node([(1.0, OK)])})
    assert Patient(clock).ask(grid, 7, 8, 9, timeout=30.0) == [(9, None), (7, NO_REPLY), (8, NO_REPLY)]
    assert clock.seconds == pytest.approx(30.0)


@pytest.mark.parametrize("code", [APP_DIED, UNAVAILABLE])
def test_an_app_that_dies_of_a_message_gets_it_three_times(clock: Clock, code: int) -> None:
    grid = ScriptedGrid(clock, {7: Node([(1.0, Error(code, "killed"))] * 9)})
    patient = Patient(clock)
    assert patient.ask(grid, 7) == [(7, code)]
    assert len(grid.sent) == ATTEMPTS == 3
    assert patient.resent == [(7, f"error {code}: killed")] * 2


def test_an_app_that_died_may_do_better(clock: Clock) -> None:
    died = (1.0, Error(APP_DIED, "too little memory"))
    grid = ScriptedGrid(clock, {7: Node([died, died, (1.0, OK)])})
    assert Patient(clock).ask(grid, 7) == [(7, None)]


def test_what_an_app_raises_is_final(clock: Clock) -> None:
    grid = ScriptedGrid(clock, {7: Node([(1.0, Error(2, "ValueError")), (1.0, OK)])})
    assert Patient(clock).ask(grid, 7) == [(7, 2)]


@pytest.mark.parametrize(("first", "second"), [(20.0, 30.0), (20.0, 1.0), (10.0, 5.0)])
def test_a_message_that_was_sent_twice_is_answered_once(clock: Clock, first: float, second: float) -> None:
    """The node was taken for restarted, but had not lost the message, or answers both."""
    online = [(0, 3.0), (3.5, inf)]
    grid = ScriptedGrid(clock, {7: Node([(first, OK), (second, OK)], online), 8: Node([(100.0, OK)])})
    patient = Patient(clock)
    assert patient.ask(grid, 7, 8) == [(7, None), (8, None)]
    assert len(patient.resent) == 1


@pytest.mark.parametrize("code", [UNAVAILABLE, NODE_GONE, APP_DIED])
def test_without_patience_what_failed_has_failed(clock: Clock, code: int) -> None:
    grid = ScriptedGrid(clock, {7: Node([(1.0, Error(code, "why")), (1.0, OK)], online=[(0, 1.0), (2.0, inf)])})
    [error] = deliver(grid, ask(7), 100.0)
    assert (error.metadata.src_node_id, error.error.code, error.error.reason) == (7, code, "why")
    assert len(grid.sent) == 1


def test_on_a_grid_that_tells_nothing_of_its_nodes_what_failed_has_failed(clock: Clock) -> None:
    class Silent(ScriptedGrid):
        def get_nodes(self) -> list[object]:
            return BaseGrid.get_nodes(self)

    patient = Patient(clock)
    assert patient.ask(Silent(clock, {7: Node([(1.0, AWAY), (1.0, OK)])}), 7) == [(7, NODE_GONE)]
    assert patient.resent == []


def test_many_that_are_waited_for_are_polled_less_often(clock: Clock) -> None:
    class Counting(ScriptedGrid):
        pulls = 0

        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            self.pulls += 1
            return super().pull_messages(message_ids)

    def polls(nodes: int) -> float:
        grid = Counting(clock, {node: Node([(1000.0, OK)]) for node in range(2, 2 + nodes)})
        assert len(list(deliver(grid, ask(*grid.nodes), 2000.0))) == nodes
        return grid.pulls / nodes

    # At most every 0.5 s for one node; for a hundred, at most every 1.5 s each.
    assert 1000 / 0.51 < polls(1) < 2500
    assert 1000 / 1.5 < polls(100) < 900


class HalfSending(ScriptedGrid):
    """A grid whose SuperLink is restarted while the first messages are sent."""

    failures = 0

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the session is gone")
        return super().push_messages(messages)


def test_sending_is_tried_again_where_the_superlink_was_restarted_in_between(clock: Clock) -> None:
    grid = HalfSending(clock, {7: Node([(1.0, OK)])})
    grid.failures = PUSHES - 1
    [reply] = deliver(grid, ask(7), 100.0)
    assert not reply.has_error()
    assert len(grid.sent) == 1


def test_sending_that_fails_again_and_again_is_an_error(clock: Clock) -> None:
    grid = HalfSending(clock, {7: Node([(1.0, OK)])})
    grid.failures = PUSHES
    with pytest.raises(RuntimeError, match="the session is gone"):
        list(deliver(grid, ask(7), 100.0))


def test_a_reply_that_cannot_be_read_is_that_nodes_failure_only(clock: Clock) -> None:
    """Flower inflates what a sender made of its reply without a check."""

    class Unreadable(ScriptedGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
            replies = super().pull_messages(message_ids)
            if any(reply.metadata.src_node_id == 7 for reply in replies):
                raise ValueError("Error parsing message")
            return replies

    grid = Unreadable(clock, {7: Node([(1.0, OK)]), 8: Node([(2.0, OK)])})
    replies = {reply.metadata.src_node_id: reply for reply in deliver(grid, ask(7, 8), 100.0)}
    assert replies[7].error.reason == "its reply cannot be read: ValueError"
    assert not replies[8].has_error()

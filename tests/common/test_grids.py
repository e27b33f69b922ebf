"""Sending and awaiting replies, over a small grid whose replies come when the test says."""

import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from helpers import NEVER

from common.flower.grids import NO_REPLY, BaseGrid, exchange
from common.flower.inprocess import InProcessGrid
from common.flower.private import set_message_id

SUPERLINK = 1  # Flower's node id of the SuperLink, which some errors name as their source


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
    assert sources(exchange(grid, ask(2, 3, 4), 5.0)) == [(node, None) for node in order]


def test_silent_nodes_are_given_up() -> None:
    replies = list(exchange(ScheduledGrid({3: 1}), ask(2, 3, 4), 0.2))
    assert sources(replies) == [(3, None), (2, NO_REPLY), (4, NO_REPLY)]
    assert replies[1].error.reason == "no answer within 0.2 s"


def test_what_is_ready_is_taken_however_little_time_is_left() -> None:
    assert sources(exchange(ScheduledGrid({2: 0, 3: NEVER}), ask(2, 3), 0.0)) == [(2, None), (3, NO_REPLY)]


def test_late_replies_are_dropped() -> None:
    grid = ScheduledGrid({2: NEVER})
    assert sources(exchange(grid, ask(2), 0.02)) == [(2, NO_REPLY)]
    grid.polls[2] = 0  # its reply to the first message is ready by now, too
    [second] = exchange(grid, ask(2), 5.0)
    assert second.metadata.reply_to_message_id == "message 1"


def test_one_node_may_get_several_messages() -> None:
    assert sources(exchange(ScheduledGrid({2: 0}), ask(2, 2), 5.0)) == [(2, None), (2, None)]


def test_nothing_to_ask() -> None:
    assert list(exchange(ScheduledGrid({}), [], 5.0)) == []


@pytest.mark.parametrize("refusal", [[None], []])  # Flower over HTTP, Flower in simulation
def test_nodes_that_the_superlink_does_not_know(refusal: list[None]) -> None:
    grid = ScheduledGrid({3: 0}, unknown={2, 4}, refusal=refusal)
    assert sources(exchange(grid, ask(2, 3, 4), 5.0)) == [(2, NO_REPLY), (4, NO_REPLY), (3, None)]


@pytest.mark.parametrize("code", [3, 5])
def test_errors_of_the_superlink_name_the_node_that_was_asked(code: int) -> None:
    class Failing(ScheduledGrid):
        def replies(self, asked: Message) -> list[Message]:
            error = Message(Error(code, "gone"), reply_to=asked)
            error.metadata.__dict__["_src_node_id"] = SUPERLINK
            assert error.metadata.src_node_id == SUPERLINK
            return [error]

    [error] = exchange(Failing({7: 0}), ask(7), 5.0)
    assert (error.metadata.src_node_id, error.error.code, error.error.reason) == (7, code, "gone")


def test_a_node_cannot_answer_in_anothers_place() -> None:
    class Impostor(ScheduledGrid):
        def replies(self, asked: Message) -> list[Message]:
            forged = reply(asked)
            forged.metadata.__dict__["_src_node_id"] = 99
            return [forged]

    [answer] = exchange(Impostor({7: 0}), ask(7), 5.0)
    assert sources([answer]) == [(7, NO_REPLY)]
    assert "99" in answer.error.reason


def test_a_reply_counts_once_and_strangers_not_at_all() -> None:
    class Stuttering(ScheduledGrid):
        def replies(self, asked: Message) -> list[Message]:
            [stranger] = ask(2)
            set_message_id(stranger, "of another round")
            return [reply(stranger), reply(asked), reply(asked)]

    assert sources(exchange(Stuttering({2: 0, 3: 1}), ask(2, 3), 5.0)) == [(2, None), (3, None)]


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
    assert sum(1 for _ in exchange(Heavy(dict.fromkeys(nodes, 0)), ask(*nodes), 5.0)) == 32
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


# --- our grids --------------------------------------------------------------------------------------


def test_a_grid_of_our_own_belongs_to_the_run_below() -> None:
    class Below(ScheduledGrid):
        @property
        def run(self) -> str:
            return "the run"

    class Above(ScheduledGrid):
        def __init__(self) -> None:
            super().__init__({})
            self.below = Below({})

    assert Above().run == "the run"
    with pytest.raises(RuntimeError, match="no Flower run"):
        _ = ScheduledGrid({}).run


def test_send_and_receive_is_an_exchange() -> None:
    grid = ScheduledGrid({2: 0})
    assert sources(grid.send_and_receive(ask(2, 3), timeout=0.05)) == [(2, None), (3, NO_REPLY)]


def counting_app() -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message, context):
        if context.node_config["partition-id"] == 1:
            raise ValueError("no images")
        seen = context.state.config_records.get("seen", ConfigRecord({"times": 0}))
        context.state["seen"] = ConfigRecord({"times": seen["times"] + 1})
        return Message(RecordDict({"seen": context.state["seen"]}), reply_to=message)

    return app


def test_in_process_nodes_have_contexts_of_their_own() -> None:
    grid = InProcessGrid(counting_app(), 3, {"key": "value"})
    assert grid.get_node_ids() == [1, 2, 3]
    for times in (1, 2):
        replies = {one.metadata.src_node_id: one for one in exchange(grid, ask(1, 2, 3), 5.0)}
        assert replies[1].content["seen"]["times"] == times
        assert replies[3].content["seen"]["times"] == times
        assert replies[2].error.code == 2  # Flower's code for a ClientApp that raised
        assert "no images" in replies[2].error.reason


def test_in_process_grid_answers_for_unknown_nodes() -> None:
    [error] = exchange(InProcessGrid(counting_app(), 1, {}), ask(9), 5.0)
    assert error.has_error()


def test_in_process_replies_are_handed_out_once() -> None:
    grid = InProcessGrid(counting_app(), 1, {})
    ids = grid.push_messages(ask(1))
    assert len(grid.pull_messages([*ids, "another"])) == 1
    assert grid.pull_messages(ids) == []

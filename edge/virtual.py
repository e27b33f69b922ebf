"""Edges within the root's process: a `Grid` whose nodes are `EdgeAggregator`s over one grid of clients.

The root strategy talks to edges as nodes of a grid and cannot tell this one from Flower's own.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from uuid import uuid4

from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.flower.grids import BaseGrid
from fedphd.common.flower.private import set_message_id
from fedphd.common.wire.messages import END, FETCH, REGISTER, TASKS, TRAIN
from fedphd.edge.aggregator import EdgeAggregator

EDGE_FAILED = 2  # Flower's error code CLIENT_APP_RAISED_EXCEPTION


class VirtualEdgeGrid(BaseGrid):
    """Nodes 1, 2, ... are the edges; each works in a thread of its own, on one message after the other.

    Parameters
    ----------
    below : Grid
        The grid of all clients.
    aggregators : list[EdgeAggregator]
        The edges, in the order of their node ids.
    """

    def __init__(self, below: Grid, aggregators: list[EdgeAggregator]) -> None:
        super().__init__(below)
        self._edges = dict(enumerate(aggregators, start=1))
        self._threads = {node: ThreadPoolExecutor(1, thread_name_prefix="edge") for node in self._edges}
        self._replies: dict[str, Future[Message]] = {}

    def get_node_ids(self) -> list[int]:
        """Name the edges' nodes."""
        return list(self._edges)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Hand each message to its edge's thread."""
        message_ids = []
        for message in messages:
            message_id = str(uuid4())
            set_message_id(message, message_id)
            self._replies[message_id] = self._threads[message.metadata.dst_node_id].submit(self._answer, message)
            message_ids.append(message_id)
        return message_ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Hand out the replies to `message_ids` that are ready, each once."""
        ready = [i for i in message_ids if i in self._replies and self._replies[i].done()]
        return [self._replies.pop(message_id).result() for message_id in ready]

    def _answer(self, message: Message) -> Message:
        edge = self._edges[message.metadata.dst_node_id]
        work: dict[str, Callable[[], RecordDict]] = {
            REGISTER: lambda: edge.register(self.below),
            TRAIN: lambda: edge.run_round(self.below, message.content),
            **{task: partial(edge.gather, self.below, task, message.content) for task in TASKS},
            FETCH: lambda: edge.fetch(message.content),
            END: RecordDict,  # the edge ends with the root's process
        }
        try:
            return Message(work[message.metadata.message_type](), reply_to=message)
        except Exception as error:  # as Flower: what a node raises becomes an error reply
            return Message(Error(EDGE_FAILED, f"{type(error).__name__}: {error}"), reply_to=message)

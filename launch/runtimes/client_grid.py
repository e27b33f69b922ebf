"""A `Grid` whose nodes are ClientApps called in this process: no Ray, no SuperLink, one node at a time."""

import threading
from collections.abc import Iterable, Mapping
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from fedphd.common.flower.grids import BaseGrid
from fedphd.common.flower.private import assume_task_identity, set_message_id

CLIENT_APP_RAISED_EXCEPTION = 2  # Flower's error code


class InProcessGrid(BaseGrid):
    """Nodes 1 to `nodes`, each with a context as the Ray simulation makes them.

    Parameters
    ----------
    client_app : ClientApp
        What every node runs.
    nodes : int
        Number of nodes; node i has ``partition-id`` i - 1.
    run_config : Mapping
        The run config that each node's context carries.
    """

    def __init__(self, client_app: ClientApp, nodes: int, run_config: Mapping[str, bool | float | int | str]) -> None:
        super().__init__()
        assume_task_identity()
        self._client_app = client_app
        self._contexts = {
            node: Context(
                run_id=1,
                node_id=node,
                node_config={"partition-id": node - 1, "num-partitions": nodes},
                state=RecordDict(),
                run_config=dict(run_config),
            )
            for node in range(1, nodes + 1)
        }
        self._replies: dict[str, Message] = {}
        # ClientApps use torch's global random state, so two must never train at once in one process.
        self._turn = threading.Lock()

    def get_node_ids(self) -> list[int]:
        """Name the nodes."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Let each message's node answer it at once."""
        return [self._answer(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Hand out the replies to `message_ids`, each once."""
        return [self._replies.pop(message_id) for message_id in message_ids if message_id in self._replies]

    def _answer(self, message: Message) -> str:
        message_id = str(uuid4())
        set_message_id(message, message_id)
        with self._turn:
            try:
                reply = self._client_app(message, self._contexts[message.metadata.dst_node_id])
            except Exception as error:  # as Flower: what a ClientApp raises becomes an error reply
                reply = Message(Error(CLIENT_APP_RAISED_EXCEPTION, repr(error)), reply_to=message)
        self._replies[message_id] = reply
        return message_id

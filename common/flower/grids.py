"""The base of our own grids, and one that waits for nodes that go and come back."""

from collections.abc import Iterable, Iterator
from typing import NoReturn

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.flower.delivery import Patience, deliver

DEFAULT_TIMEOUT = 3600.0  # seconds, as Flower's strategies wait


class BaseGrid(Grid):  # type: ignore[misc]
    """Base of our grids: a subclass names its nodes, pushes and pulls.

    Parameters
    ----------
    below : Grid, optional
        The grid of the Flower run that this one works within.
    """

    def __init__(self, below: Grid | None = None) -> None:
        self.below = below

    def set_run(self, run: object) -> None:
        """Do nothing: the run is that of the grid below."""

    @property
    def run(self) -> object:
        """The Flower run that the grid below operates in."""
        if self.below is None:
            raise RuntimeError("this grid belongs to no Flower run")
        return self.below.run

    def get_nodes(self) -> NoReturn:
        """Tell nothing about the nodes: they have no keys, and never go and come back."""
        raise NotImplementedError

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message in Flower's deprecated way, which the base class demands."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterator[Message]:
        """Send messages and hand out the replies as they come."""
        return deliver(self, messages, DEFAULT_TIMEOUT if timeout is None else timeout)


class PatientGrid(BaseGrid):
    """A grid whose `send_and_receive`, which Flower's strategies call, polls quickly and sends lost messages again.

    Parameters
    ----------
    below : Grid
        The grid that carries the messages.
    patience : Patience
        How its nodes are waited for.
    """

    def __init__(self, below: Grid, patience: Patience) -> None:
        super().__init__(below)
        self._grid = below
        self._patience = patience

    def get_node_ids(self) -> list[int]:
        """Name the nodes of the grid below."""
        return list(self._grid.get_node_ids())

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send by the grid below."""
        return list(self._grid.push_messages(messages))

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Take replies from the grid below."""
        return list(self._grid.pull_messages(message_ids))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterator[Message]:
        """Send messages and hand out the replies as they come."""
        return deliver(self._grid, messages, DEFAULT_TIMEOUT if timeout is None else timeout, self._patience)

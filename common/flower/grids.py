"""Sending messages and taking replies as they come, over any Flower `Grid`; and the bases of our own grids.

Flower's own `send_and_receive` sleeps three seconds between polls, returns all replies at once, and
names the SuperLink as the source of some errors. Here polls are quick, replies are handed out one by
one (so an aggregator need not hold them all), and each bears the node that was asked.
"""

import time
from collections.abc import Iterable, Iterator

from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid

QUICKEST_POLL, SLOWEST_POLL = 0.01, 0.5  # seconds between polls
POLL_SHARE = 0.05  # of the time waited so far: what polling may add to a wait
NO_REPLY = 4  # Flower's error code REPLY_MESSAGE_UNAVAILABLE
DEFAULT_TIMEOUT = 3600.0  # seconds, as Flower's strategies wait


def exchange(grid: Grid, messages: Iterable[Message], timeout: float) -> Iterator[Message]:
    """Send messages and yield one reply for each, as they come.

    Parameters
    ----------
    grid : Grid
        Where to send.
    messages : Iterable[Message]
        What to send; one node may get several.
    timeout : float
        Seconds after the last one was sent at which nodes that are still silent are given up.

    Yields
    ------
    Message
        A node's reply; an error reply if the node failed or stayed silent. `metadata.src_node_id` is
        always the node that was asked.
    """
    waiting: dict[str, Message] = {}
    unsent: list[Message] = []
    for message in messages:
        message_id = next(iter(grid.push_messages([message])), None)  # none where the SuperLink knows no such node
        if message_id:
            waiting[message_id] = message
        else:
            unsent.append(message)
    arrival = time.monotonic()
    deadline = arrival + timeout
    for asked in unsent:
        yield Message(Error(NO_REPLY, "the message could not be sent"), reply_to=asked)
    while waiting:
        for message_id in list(waiting):  # one at a time, so that memory does not hold what came meanwhile
            for reply in grid.pull_messages([message_id]):
                asked = waiting.pop(reply.metadata.reply_to_message_id, None)
                if asked is not None:
                    yield _with_source(reply, asked)
                    arrival = time.monotonic()
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            break
        waited = time.monotonic() - arrival
        time.sleep(min(max(POLL_SHARE * waited, QUICKEST_POLL), SLOWEST_POLL, left))
    for asked in waiting.values():
        yield Message(Error(NO_REPLY, f"no answer within {timeout:g} s"), reply_to=asked)


def _with_source(reply: Message, asked: Message) -> Message:
    """Errors 3 and 5 name the SuperLink as their source: make them name the node that was asked."""
    if reply.metadata.src_node_id == asked.metadata.dst_node_id:
        return reply
    foreign = Error(NO_REPLY, f"node {reply.metadata.src_node_id} answered in its place")
    return Message(reply.error if reply.has_error() else foreign, reply_to=asked)


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

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Make a message in Flower's deprecated way, which the base class demands."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterator[Message]:
        """Exchange messages for replies, which come as an iterator."""
        return exchange(self, messages, DEFAULT_TIMEOUT if timeout is None else timeout)

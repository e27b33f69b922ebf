"""Sending messages and taking replies as they come, over any Flower `Grid`, also when nodes go and come back.

Flower's own `send_and_receive` sleeps three seconds between polls, returns all replies at once, names
the SuperLink as the source of some errors, and waits for ever for a message that a node had taken when
it was restarted. Here polls are quick, replies are handed out one by one (so an aggregator need not
hold them all), each bears the node that was asked, and a lost message is sent again.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from flwr.app import Error, Message
from flwr.serverapp import Grid

QUICKEST_POLL, SLOWEST_POLL = 0.01, 0.5  # seconds between polls
POLL_SHARE = 0.05  # of the time waited so far: what polling may add to a wait
POLL_COST = 0.01  # more seconds for each node that is waited for, so that many do not keep the SuperLink busy
LOOK = 2.0  # seconds between looks at which nodes are there
PUSHES, PUSH_PAUSE = 5, 1.0  # times that sending is tried where it raises, and seconds between them
ATTEMPTS = 3  # times that a message is sent to a node whose app dies of it

log = logging.getLogger(__name__)

# Flower's error codes.
UNAVAILABLE, NO_REPLY, NODE_GONE, APP_DIED = 3, 4, 5, 8


@dataclass
class Patience:
    """How nodes that went away are waited for; kept from one delivery to the next.

    Attributes
    ----------
    rejoin : float
        Seconds for which a node may be offline before its message is given up.
    resent : Callable[[Message, str], None]
        Called with each message that is sent again, and why.
    gone : set[int]
        Nodes that were given up: they are not waited for again before they have come back.
    """

    rejoin: float
    resent: Callable[[Message, str], None]
    gone: set[int] = field(default_factory=set)


def deliver(
    grid: Grid, messages: Iterable[Message], timeout: float, patience: Patience | None = None
) -> Iterator[Message]:
    """Send messages and yield one reply for each, as they come.

    Parameters
    ----------
    grid : Grid
        Where to send.
    messages : Iterable[Message]
        What to send; one node may get several.
    timeout : float
        Seconds after the last one was sent at which nodes that are still silent are given up.
    patience : Patience, optional
        For nodes that go away and come back; without it, or on a grid that does not tell when its
        nodes came online, what Flower calls failed has failed.

    Yields
    ------
    Message
        A node's reply; an error reply if the node failed or stayed silent. `metadata.src_node_id` is
        always the node that was asked.
    """
    online = _online(grid) if patience is not None else None
    waiting = [_Delivery(grid, message, online or {}) for message in messages]
    arrival = looked = time.monotonic()
    deadline = arrival + timeout
    while waiting:
        if patience is not None and online is not None and time.monotonic() - looked > LOOK:
            online, looked = _online(grid), time.monotonic()
            for delivery in waiting:
                delivery.look(online or {}, patience)
        for delivery in list(waiting):  # one at a time, so that memory does not hold what came meanwhile
            reply = delivery.pull(patient=online is not None)
            if reply is not None:
                waiting.remove(delivery)
                yield reply
                arrival = time.monotonic()
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            break
        slowest = SLOWEST_POLL + POLL_COST * len(waiting)
        time.sleep(min(max(POLL_SHARE * (time.monotonic() - arrival), QUICKEST_POLL), slowest, left))
    for delivery in waiting:
        yield Message(Error(NO_REPLY, f"no answer within {timeout:.3g} s"), reply_to=delivery.asked)


class _Delivery:
    """One message on its way: sent, perhaps lost and sent again, until a reply or a failure that is final."""

    def __init__(self, grid: Grid, message: Message, online: dict[int, str]) -> None:
        self.grid = grid
        self.asked = message
        self._node = int(message.metadata.dst_node_id)
        self._ids: list[str] = []
        self._activated: str | None = None  # when the node had come online, as far as was known at the last sending
        self._attempts = 0
        self._repeat: str | None = None  # why it must be sent again
        self._absent_since: float | None = None
        self._end: Error | None = None
        self._send(message, online)

    def pull(self, patient: bool) -> Message | None:
        """Give the reply, if there is one by now; note a loss that can be made good."""
        if self._end is not None:
            return Message(self._end, reply_to=self.asked)
        for message_id in list(self._ids):
            for reply in self._pulled(message_id):
                if reply.metadata.reply_to_message_id != message_id:
                    continue
                self._ids.remove(message_id)
                if patient and reply.has_error() and self._can_be_repeated(reply.error):
                    self._repeat = f"error {reply.error.code}: {reply.error.reason}"
                    continue
                return _with_source(reply, self.asked)
        return None

    def _pulled(self, message_id: str) -> Iterable[Message]:
        try:
            return list(self.grid.pull_messages([message_id]))
        except Exception as error:
            if type(error).__module__.startswith("httpx"):  # the SuperLink is away; asked again with the next poll
                log.warning("no look for the reply of node %d: %s", self._node, error)
                return []
            # Flower inflates a reply without a check of what its sender made of it.
            self._ids.remove(message_id)
            failure = Error(NO_REPLY, f"its reply cannot be read: {type(error).__name__}")
            self._end = self._end or failure
            return []

    def look(self, online: dict[int, str], patience: Patience) -> None:
        """Send again what a restarted node has lost; give up a node that stays away."""
        if self._node in online:
            self._absent_since = None
            patience.gone.discard(self._node)
            if self._activated is not None and online[self._node] != self._activated:
                self._repeat = self._repeat or "the node was restarted"
            self._activated = online[self._node]
            if self._repeat is not None:
                self._resend(online, patience)
            return
        self._absent_since = self._absent_since or time.monotonic()
        if self._node in patience.gone or time.monotonic() - self._absent_since > patience.rejoin:
            patience.gone.add(self._node)
            self._end = Error(NODE_GONE, f"offline; waited {time.monotonic() - self._absent_since:.0f} s for it")

    def _resend(self, online: dict[int, str], patience: Patience) -> None:
        again = _copy(self.asked)
        patience.resent(again, str(self._repeat))
        self._repeat = None
        self._send(again, online)

    def _send(self, message: Message, online: dict[int, str]) -> None:
        self._attempts += 1
        self._activated = online.get(self._node)
        message_id = self._push(message)  # none where the SuperLink knows no such node
        if message_id:
            self._ids.append(message_id)
        else:
            self._end = Error(NO_REPLY, "the message could not be sent")

    def _push(self, message: Message) -> str | None:
        for _ in range(PUSHES - 1):
            try:
                return next(iter(self.grid.push_messages([message])), None)
            except Exception as error:  # Flower's are private: its SuperLink was restarted and lost half a message
                log.warning("a message could not be sent to node %d (%s); trying again", self._node, error)
                time.sleep(PUSH_PAUSE)
                message = _copy(message)
        return next(iter(self.grid.push_messages([message])), None)

    def _can_be_repeated(self, error: Error) -> bool:
        return error.code == NODE_GONE or (error.code in (UNAVAILABLE, APP_DIED) and self._attempts < ATTEMPTS)


def _copy(message: Message) -> Message:
    """Make a message anew: Flower takes each one once."""
    meta = message.metadata
    return Message(message.content, meta.dst_node_id, meta.message_type, ttl=meta.ttl, group_id=meta.group_id)


def _online(grid: Grid) -> dict[int, str] | None:
    """Tell when each node that is online came so; None if the grid's nodes never go."""
    try:
        return {int(node.node_id): str(node.last_activated_at) for node in grid.get_nodes()}
    except NotImplementedError:
        return None


def _with_source(reply: Message, asked: Message) -> Message:
    """Errors 3 and 5 name the SuperLink as their source: make them name the node that was asked."""
    if reply.metadata.src_node_id == asked.metadata.dst_node_id:
        return reply
    foreign = Error(NO_REPLY, f"node {reply.metadata.src_node_id} answered in its place")
    return Message(reply.error if reply.has_error() else foreign, reply_to=asked)

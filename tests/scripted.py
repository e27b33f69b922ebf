"""A clock that tests move, and a grid whose nodes come, go and answer as a script says.

So what takes minutes in a deployment takes no time in a test, and happens the same way every time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from types import ModuleType, SimpleNamespace

import pytest
from flwr.app import Error, Message, RecordDict

from fedphd.common.flower.delivery import NODE_GONE, UNAVAILABLE
from fedphd.common.flower.grids import BaseGrid
from fedphd.common.flower.private import set_message_id

SUPERLINK = 1  # Flower's node id of the SuperLink, which some errors name as their source
TOO_LONG = 1e6  # seconds: a wait that never ends


class Clock:
    """Stands in for the `time` module of the code under test; `seconds` is the time since the start."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.seconds += seconds
        assert self.seconds < TOO_LONG, "waits for ever"

    def set(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> "Clock":
        for module in modules:
            monkeypatch.setattr(module, "time", self)
        return self


@dataclass
class Node:
    """A node of the script.

    Attributes
    ----------
    answers : Sequence[tuple[float, RecordDict or Error]]
        The answer to its first message, the second, ..., and the seconds that it takes; then it is silent.
    online : Sequence[tuple[float, float]]
        When it is there: from, until.
    name : str
        The name of its key.
    """

    answers: Sequence[tuple[float, RecordDict | Error]] = ()
    online: Sequence[tuple[float, float]] = ((0.0, inf),)
    name: str = ""


class ScriptedGrid(BaseGrid):
    """A grid that tells, as Flower's does, which nodes are online and since when.

    Attributes
    ----------
    sent : list[tuple[float, Message]]
        When which message was sent.
    """

    def __init__(self, clock: Clock, nodes: dict[int, Node]) -> None:
        super().__init__()
        self.clock = clock
        self.nodes = nodes
        self.sent: list[tuple[float, Message]] = []
        self._ready: dict[str, tuple[float, Message]] = {}

    def get_nodes(self) -> list[object]:
        now = self.clock.seconds
        return [
            SimpleNamespace(node_id=node, name=one.name, last_activated_at=f"at {start}")
            for node, one in self.nodes.items()
            for start, end in one.online
            if start <= now < end
        ]

    def get_node_ids(self) -> list[int]:
        return [node.node_id for node in self.get_nodes()]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        due = [i for i in message_ids if i in self._ready and self._ready[i][0] <= self.clock.seconds]
        return [self._ready.pop(message_id)[1] for message_id in due]

    def times_sent_to(self, node: int) -> list[float]:
        return [seconds for seconds, message in self.sent if message.metadata.dst_node_id == node]

    def _push(self, message: Message) -> str:
        node, message_id = message.metadata.dst_node_id, f"message {len(self.sent)}"
        before = len(self.times_sent_to(node))
        set_message_id(message, message_id)
        self.sent.append((self.clock.seconds, message))
        if before < len(self.nodes[node].answers):
            after, content = self.nodes[node].answers[before]
            reply = Message(content, reply_to=message)
            if isinstance(content, Error) and content.code in (UNAVAILABLE, NODE_GONE):
                reply.metadata.__dict__["_src_node_id"] = SUPERLINK
            self._ready[message_id] = (self.clock.seconds + after, reply)
        return message_id

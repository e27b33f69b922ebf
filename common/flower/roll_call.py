"""Finding out which node of a grid is whom: ask every node that comes, until all who are expected have answered."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.errors import RegistrationError
from fedphd.common.flower.delivery import Patience, deliver
from fedphd.common.wire.messages import REGISTER, Unable
from fedphd.common.wire.records import MessageError

NODE_POLL = 0.5  # seconds between looks for nodes that have not connected yet
MOST_TOLD = 3  # of those that cannot take part, whose reasons are told

T = TypeVar("T")
Read = Callable[[RecordDict], tuple[str, T]]

log = logging.getLogger(__name__)


@dataclass
class RollCall(Generic[T]):
    """Asks nodes ``query.register`` and collects who they are.

    Attributes
    ----------
    caller : str
        Who asks, for messages.
    expected : Sequence[str]
        Names that must answer; others are left out.
    read : Callable[[RecordDict], tuple[str, T]]
        Reads a name and what belongs to it from an answer; raises MessageError.
    failures : int
        Times that a node may fail, since it may only be starting, before registration does.
    query_timeout : float
        Seconds for one node to answer.
    ends : Callable[[T], bool]
        Whether an answer makes it useless to wait for those who have not come yet. By default none does.
    at_once : bool
        Whether such an answer ends it before others that were asked have answered, too.
    answers : dict[str, T]
        What those who answered told.
    nodes : dict[str, int]
        At which node each of them is.
    """

    caller: str
    expected: Sequence[str]
    read: Read[T]
    failures: int
    query_timeout: float
    ends: Callable[[T], bool] = lambda _answer: False
    at_once: bool = False
    answers: dict[str, T] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    _troubles: dict[int, str] = field(default_factory=dict)
    _failed: Counter[int] = field(default_factory=Counter)

    @property
    def missing(self) -> list[str]:
        """Those who have not answered."""
        return [name for name in self.expected if name not in self.nodes]

    @property
    def ended(self) -> bool:
        """Whether there is nobody left to wait for, or an answer makes it useless."""
        return not self.missing or self._useless

    @property
    def _useless(self) -> bool:
        return any(map(self.ends, self.answers.values()))

    def run(self, grid: Grid, timeout: float, patience: Patience | None = None) -> None:
        """Ask until nobody is missing, or an answer ends it.

        Raises
        ------
        RegistrationError
            If a node fails too often, or someone is still missing after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        asked: set[int] = set()
        while not self.ended:
            new = {node: name for node, name in _nodes(grid).items() if node not in asked}
            asked |= self._ask(grid, new, min(self.query_timeout, deadline - time.monotonic()), patience)
            if not self.ended and time.monotonic() >= deadline:
                told = "".join(f"; node {node} answered: {reason}" for node, reason in self._troubles.items())
                missing = ", ".join(self.missing)
                raise RegistrationError(f"{self.caller}: {missing} did not register within {timeout:g} s{told}")
            if not self.ended:
                time.sleep(NODE_POLL)

    def _ask(self, grid: Grid, nodes: dict[int, str], timeout: float, patience: Patience | None) -> set[int]:
        """Ask nodes who they are; return those that answered, so that the others are asked again."""
        answered = set()
        queries = [Message(RecordDict(), node, REGISTER) for node in sorted(nodes)]
        for reply in deliver(grid, queries, timeout, patience):
            node = reply.metadata.src_node_id
            if reply.has_error():
                self._note_failure(node, str(reply.error.reason))
                continue
            answered.add(node)
            try:
                name, answer = self.read(reply.content)
            except MessageError as error:
                self._note_trouble(node, str(error))
                continue
            self._take(node, name, answer, nodes[node])
            if self.at_once and self._useless:
                break
        return answered

    def _take(self, node: int, name: str, answer: T, key_name: str) -> None:
        if key_name and key_name != name:  # a deployment's nodes are named with their keys
            self._note_trouble(node, f"its key is that of {key_name}, but it says that it is {name}")
        elif name in self.nodes:
            self._note_trouble(node, f"it says that it is {name}, as node {self.nodes[name]} does")
        elif name in self.expected:
            self.answers[name], self.nodes[name] = answer, node

    def _note_trouble(self, node: int, reason: str) -> None:
        self._troubles[node] = reason
        log.warning("%s: node %d is left out: %s", self.caller, node, reason)

    def _note_failure(self, node: int, reason: str) -> None:
        self._troubles[node] = reason
        self._failed[node] += 1
        log.warning("%s: node %d could not register: %s", self.caller, node, reason)
        if self._failed[node] == self.failures:
            times = f" {self.failures} times" if self.failures > 1 else ""
            raise RegistrationError(f"{self.caller}: node {node} failed to register{times}: {reason}")


def check_able(unable: Sequence[Unable]) -> None:
    """Check that nobody is unable to take part.

    Raises
    ------
    RegistrationError
        If somebody is: one line, with the names and what each of the first said.
    """
    if not unable:
        return
    told = [f"{one.client} cannot take part: {one.reason}" for one in unable[:MOST_TOLD]]
    others = ", ".join(one.client for one in unable[MOST_TOLD:])
    raise RegistrationError("; ".join([*told, f"nor can {others}"] if others else told))


def _nodes(grid: Grid) -> dict[int, str]:
    """List the nodes with the names that their keys are registered under; no names where there are no keys."""
    try:
        return {int(node.node_id): str(node.name) for node in grid.get_nodes()}
    except NotImplementedError:
        return dict.fromkeys(grid.get_node_ids(), "")

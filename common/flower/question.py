"""A question: what is asked of some peers at once, and which of their answers may be believed.

A tier says here what only it knows; `Boundary` does the rest.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from flwr.app import RecordDict

from fedphd.common.run.events import Event
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic


class Outgoing(Protocol):
    """A message that asks something."""

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic."""

    def write(self) -> RecordDict:
        """Lay out for the wire."""


class Incoming(Protocol):
    """A message that answers; it says who sent it."""

    @property
    def sender(self) -> str:
        """Who sent it, as it says."""


M = TypeVar("M", bound=Incoming)
A = TypeVar("A")


@dataclass(frozen=True)
class Receipt:
    """What the ledger tells of a sound answer.

    Attributes
    ----------
    models : tuple[CodedModel or None, ...]
        The models that came with it.
    images : int or None
        Bytes of the images that came with it.
    facts : Mapping[str, object]
        More that is worth telling.
    """

    models: tuple[CodedModel | None, ...] = ()
    images: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


class Question(ABC, Generic[M, A]):
    """What is asked of some peers at once.

    Parameters
    ----------
    task : str
        The type of the messages.
    nodes : Mapping[str, int]
        Who is asked, in this order, and the Flower node of each.
    timeout : float
        Seconds for the answers. An order that is not delivered by then expires: it must not keep busy whoever comes
        back later.
    group : str, optional
        Flower's group id.

    Attributes
    ----------
    down : Traffic
        What was sent so far.
    failures : dict[str, str]
        Who gave no answer so far, or not a sound one, and why.
    """

    def __init__(self, task: str, nodes: Mapping[str, int], timeout: float, group: str | None = None) -> None:
        self.task = task
        self.nodes = nodes
        self.timeout = timeout
        self.group = group
        self.down: Traffic = NO_TRAFFIC
        self.failures: dict[str, str] = {}

    @abstractmethod
    def order(self, peer: str) -> Outgoing:
        """Give the message to a peer."""

    @abstractmethod
    def where(self, peer: str) -> dict[str, object]:
        """Say for the ledger which question this is, and to whom."""

    @abstractmethod
    def read(self, peer: str, content: RecordDict) -> M:
        """Read a peer's answer.

        Raises
        ------
        MessageError
            If it is no such message.
        """

    @abstractmethod
    def check(self, message: M) -> A:
        """Check that an answer, whose sender is the peer that was asked, answers this question, and decode it.

        Raises
        ------
        MessageError, CodecError
            If it must not be used.
        """

    @abstractmethod
    def receipt(self, message: M) -> Receipt | None:
        """Say what the ledger is to tell of a sound answer; None if nothing crossed the hop with it that counts."""

    def events(self, message: M) -> Sequence[Event]:
        """Give the events of the sender's own ledger that came with a sound answer."""
        return []

    def confirm(self, peer: str) -> None:
        """Note that a peer, whose answer was sound, has what it was sent."""

    def forget(self, peer: str) -> None:
        """Note that a peer, which did not answer, may have lost what it had."""

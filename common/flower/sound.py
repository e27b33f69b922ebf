"""Answers that were found sound, as the boundary hands them out."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from flwr.app import RecordDict

from fedphd.common.network.packing import PackedModel
from fedphd.common.wire.traffic import Traffic

A = TypeVar("A")
U = TypeVar("U")


@dataclass(frozen=True)
class Sound(Generic[A]):
    """An answer that may count.

    Attributes
    ----------
    peer : str
        Who was asked, and answered.
    answer : A
        What the question makes of the answer.
    content : RecordDict
        The answer as it came.
    traffic : Traffic
        What crossed the hop with it.
    """

    peer: str
    answer: A
    content: RecordDict
    traffic: Traffic


@dataclass(frozen=True)
class Decoded(Generic[U]):
    """An update, and what it decodes to: a model, and perhaps a change of control variates."""

    update: U
    model: PackedModel
    control: PackedModel | None

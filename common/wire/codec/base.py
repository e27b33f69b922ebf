"""What a codec says of itself, and what it does."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fedphd.common.choices import Choice, Choices
from fedphd.common.wire.codec.rounding import Rounding

if TYPE_CHECKING:  # the configuration imports this file, and must not import torch
    from fedphd.common.network.structure import Structure

Payload = NDArray[np.uint8]  # the coded bytes, before compression
Vector = NDArray[np.float32]


class Codec(Choice):
    """How the tensors of one hop and direction travel.

    Attributes
    ----------
    exact : bool
        Whether numbers come out as they went in.
    draws : bool
        Whether it can round at random.
    weights_as : str
        The codec by which weights travel where this one is for changes; the codec itself where it is for both.
    of : str
        Whether weights are sent, or changes since the last model that was sent down.
    rounding : str
        Whether numbers are rounded to the nearest, or at random so that the mean is right.
    error_feedback : bool
        Whether what rounding took away is given back: up, with the sender's next message; down, when the answers are
        averaged.
    zstd : int or None
        Level of compression; None: none.
    """

    exact: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    of: Literal["weights", "change"]
    rounding: Rounding = "nearest"
    error_feedback: bool
    zstd: Annotated[int, Field(strict=True, ge=1, le=22)] | None

    @property
    def weights_as(self) -> str:
        """The codec by which weights travel."""
        return self.kind

    def like(self, kind: str, **changes: object) -> Codec:
        """Make a codec of another kind with the same options but for `changes`."""
        options: dict[str, Any] = self.model_dump() | changes | {"kind": kind}
        return CODECS.read(options)

    @classmethod
    @abstractmethod
    def nbytes(cls, structure: Structure) -> int:
        """Count the bytes that tensors of these shapes take, without zstd; never more than as float32."""

    @abstractmethod
    def encode(self, structure: Structure, vector: Vector, seed: int | None) -> Payload:
        """Encode the finite numbers of a model, shape (structure.size,); the seed is for rounding at random."""

    @classmethod
    @abstractmethod
    def decode(cls, structure: Structure, payload: Payload) -> Vector:
        """Decode a payload of `nbytes` bytes to numbers, shape (structure.size,).

        Raises
        ------
        CodecError
            If the data hold what cannot be, such as a number that is not finite.
        """


# Closed: receivers decode by the names that they know, and import nothing that a message names.
CODECS = Choices("codec", Codec, closed=True)  # type: ignore[type-abstract]


def coded_bytes(structure: Structure, kind: str) -> int:
    """Count the bytes that tensors of these shapes take by a codec, without zstd.

    Parameters
    ----------
    structure : Structure
        Of what is sent.
    kind : str
        Name of a codec.
    """
    return CODECS.find(kind).nbytes(structure)

"""What the codecs of floating-point numbers have in common: numbers are rounded to nearest, ties to even.

A number beyond the largest of its kind (65504 for float16) becomes that largest one, never infinite: one number that
ran away does not end a run, and error feedback sends the rest with the next message.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedphd.common.wire.codec.base import Codec, Payload, Vector
from fedphd.common.wire.codec.errors import CodecError

if TYPE_CHECKING:
    from fedphd.common.network.structure import Structure


class FloatCodec(Codec):
    """A codec by which every number has the same number of bytes.

    Attributes
    ----------
    width : int
        Bytes of one number.
    """

    width: ClassVar[int]

    @classmethod
    def nbytes(cls, structure: Structure) -> int:
        """Count the bytes of all numbers."""
        return cls.width * structure.size

    @classmethod
    def decode(cls, _structure: Structure, payload: Payload) -> Vector:
        """Decode numbers, and check that they are finite."""
        vector = cls.widen(payload)
        if not np.isfinite(vector).all():
            raise CodecError(f"{cls.__name__.lower()} data has numbers that are not finite")
        return vector

    @classmethod
    @abstractmethod
    def widen(cls, payload: Payload) -> Vector:
        """Make float32 numbers of what was sent."""

"""The upper halves of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedphd.common.wire.codec.base import CODECS, Payload, Vector
from fedphd.common.wire.codec.floats import FloatCodec

if TYPE_CHECKING:
    from fedphd.common.network.structure import Structure


@CODECS.register("bfloat16")
class BFloat16(FloatCodec):
    """The upper half of a float32: 8 significant bits, the same range."""

    width: ClassVar[int] = 2

    def encode(self, _structure: Structure, vector: Vector, _seed: int | None) -> Payload:
        """Round by integers: what is added carries into the upper half where the lower half rounds up.

        Torch's own cast may use an instruction of the processor that takes the smallest numbers for 0.
        """
        largest = 2.0**128 - 2.0**120
        bits = np.clip(vector, -largest, largest).view(np.uint32)
        odd = (bits >> 16) & 1
        bits += 0x7FFF
        bits += odd
        bits >>= 16
        return bits.astype("<u2").view(np.uint8)

    @classmethod
    def widen(cls, payload: Payload) -> Vector:
        """Put zeros in the lower half."""
        bits = payload.view("<u2").astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)

"""Numbers as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedphd.common.wire.codec.base import CODECS, Payload, Vector
from fedphd.common.wire.codec.floats import FloatCodec

if TYPE_CHECKING:
    from fedphd.common.network.structure import Structure


@CODECS.register("float32")
class Float32(FloatCodec):
    """All numbers as they are."""

    exact: ClassVar[bool] = True
    width: ClassVar[int] = 4

    def encode(self, _structure: Structure, vector: Vector, _seed: int | None) -> Payload:
        """Give a view where the machine is little-endian."""
        payload: Payload = np.ascontiguousarray(vector, "<f4").view(np.uint8)
        return payload

    @classmethod
    def widen(cls, payload: Payload) -> Vector:
        """Give a view where the machine is little-endian."""
        return payload.view("<f4").astype(np.float32, copy=False)

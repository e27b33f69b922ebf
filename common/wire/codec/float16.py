"""Numbers in half precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedphd.common.wire.codec.base import CODECS, Payload, Vector
from fedphd.common.wire.codec.floats import FloatCodec

if TYPE_CHECKING:
    from fedphd.common.network.structure import Structure


@CODECS.register("float16")
class Float16(FloatCodec):
    """Half precision: 11 significant bits, from 6e-8 to 65504."""

    width: ClassVar[int] = 2

    def encode(self, _structure: Structure, vector: Vector, _seed: int | None) -> Payload:
        """Round by torch: NumPy's cast takes seconds where a change's numbers are below float16's normal ones."""
        import torch  # noqa: PLC0415 - the configuration imports this file

        within = np.clip(vector, -65504.0, 65504.0)
        payload: Payload = torch.from_numpy(within).half().numpy().astype("<f2", copy=False).view(np.uint8)
        return payload

    @classmethod
    def widen(cls, payload: Payload) -> Vector:
        """Widen by torch, as fast as it rounds."""
        import torch  # noqa: PLC0415

        vector: Vector = torch.from_numpy(payload.view("<f2").astype(np.float16)).float().numpy()
        return vector

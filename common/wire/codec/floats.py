"""Numbers as float32, float16 or bfloat16, all rounded to nearest, ties to even.

A number beyond the largest of its kind (65504 for float16) becomes that largest one, never infinite: one number that
ran away does not end a run, and error feedback sends the rest with the next message.
"""

import numpy as np
import torch

from fedphd.common.network.packing import Vector
from fedphd.common.wire.codec.errors import CodecError
from fedphd.common.wire.codec.layout import Payload

_LARGEST = {"float16": 65504.0, "bfloat16": 2.0**128 - 2.0**120}


def encode(kind: str, vector: Vector) -> Payload:
    """Encode finite float32 numbers, shape (n,); float32 itself is a view where the machine is little-endian."""
    if kind == "float32":
        payload: Payload = np.ascontiguousarray(vector, "<f4").view(np.uint8)
        return payload
    within = np.clip(vector, -_LARGEST[kind], _LARGEST[kind])
    if kind == "float16":
        # Not NumPy's cast, which takes seconds where a change's numbers are below float16's normal ones.
        return torch.from_numpy(within).half().numpy().astype("<f2", copy=False).view(np.uint8)
    # The upper half of a float32 is a bfloat16; what is added carries into it where the lower half rounds up. Torch's
    # own cast may use an instruction of the processor that takes the smallest numbers for 0.
    bits = within.view(np.uint32)
    odd = (bits >> 16) & 1
    bits += 0x7FFF
    bits += odd
    bits >>= 16
    return bits.astype("<u2").view(np.uint8)


def decode(kind: str, payload: Payload) -> Vector:
    """Decode numbers, shape (n,); float32 as a view.

    Raises
    ------
    CodecError
        If a number is not finite.
    """
    vector: Vector
    if kind == "float32":
        vector = payload.view("<f4").astype(np.float32, copy=False)
    elif kind == "float16":
        vector = torch.from_numpy(payload.view("<f2").astype(np.float16)).float().numpy()
    else:
        bits = payload.view("<u2").astype(np.uint32)
        bits <<= 16
        vector = bits.view(np.float32)
    if not np.isfinite(vector).all():
        raise CodecError(f"{kind} data has numbers that are not finite")
    return vector

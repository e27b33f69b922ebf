"""Numbers as 8-bit or 4-bit codes times a scale per output channel, symmetric around 0.

A channel's scale is its largest magnitude divided by the largest code, so that the error is at most half a scale per
number. A channel below `_SMALLEST` times the largest code, which is all zero for every purpose, has scale 0.
"""

import numpy as np
from numpy.typing import NDArray

from fedphd.common.network.packing import Vector
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec.errors import CodecError
from fedphd.common.wire.codec.layout import INTEGER_BITS, Payload, blocks, coded_bytes, section_sizes

Codes = NDArray[np.int8]

_SMALLEST = np.finfo(np.float32).tiny  # a scale below has too few digits to be divided by


def encode(structure: Structure, kind: str, vector: Vector) -> Payload:
    """Encode the finite numbers of a model, shape (structure.size,)."""
    payload = np.empty(coded_bytes(structure, kind), np.uint8)
    scales, exact, packed = _sections(structure, payload)
    codes = packed.view(np.int8) if kind == "int8" else np.zeros(2 * len(packed), np.int8)
    for block in blocks(structure):
        numbers = vector[block.numbers]
        if block.channels:
            rows = numbers.reshape(block.channels, -1)
            scales[block.scales] = own = _scales(rows, _largest(kind))
            codes[block.codes] = np.rint(rows / np.where(own > 0, own, 1)[:, None]).reshape(-1)
        else:
            exact[block.exact] = numbers
    if kind == "int4":
        packed[...] = _pack(codes)
    return payload


def decode(structure: Structure, kind: str, payload: Payload) -> Vector:
    """Decode a payload of the exact length, shape (coded_bytes,), to numbers, shape (structure.size,).

    Raises
    ------
    CodecError
        If a number or scale is not finite, a scale negative or too large, or a code outside the range.
    """
    scales, exact, packed = _sections(structure, payload)
    if not np.isfinite(exact).all():
        raise CodecError(f"{kind} data has numbers that are not finite")
    if not ((scales >= 0) & (scales <= _largest_scale(_largest(kind)))).all():  # not so for NaN either
        raise CodecError(f"{kind} data has a scale that is negative, too large or not finite")
    codes = _codes(structure, kind, packed)
    vector = np.empty(structure.size, np.float32)
    for block in blocks(structure):
        if block.channels:
            rows = codes[block.codes].reshape(block.channels, -1)
            np.multiply(rows, scales[block.scales, None], out=vector[block.numbers].reshape(rows.shape))
        else:
            vector[block.numbers] = exact[block.exact]
    return vector


def _sections(structure: Structure, payload: Payload) -> tuple[Vector, Vector, Payload]:
    """Give views of the scales, the float32 numbers and the packed codes."""
    scales, exact, _ = section_sizes(structure)
    floats = payload[: 4 * (scales + exact)].view("<f4")
    return floats[:scales], floats[scales:], payload[4 * (scales + exact) :]


def _largest(kind: str) -> int:
    """Give the largest code."""
    return (1 << INTEGER_BITS[kind] - 1) - 1


def _largest_scale(largest: int) -> float:
    """Give a scale whose product with the largest code is just within float32."""
    return float(np.nextafter(np.finfo(np.float32).max / np.float32(largest), np.float32(0)))


def _scales(rows: Vector, largest: int) -> Vector:
    """Compute the scale of each row of numbers, shape (channels, numbers in one)."""
    peaks = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    scales = np.minimum(peaks / np.float32(largest), _largest_scale(largest))
    return np.where(scales < _SMALLEST, np.float32(0), scales)


def _codes(structure: Structure, kind: str, packed: Payload) -> Codes:
    """Unpack the codes and check their range."""
    count = section_sizes(structure)[2]
    codes = packed.view(np.int8) if kind == "int8" else _unpack(packed)
    if codes.size and codes.min() < -_largest(kind):
        raise CodecError(f"{kind} data has a code below -{_largest(kind)}")
    if codes[count:].any():
        raise CodecError(f"{kind} data has a last byte whose unused half is not 0")
    return codes[:count]


def _pack(codes: Codes) -> Payload:
    """Pack an even number of 4-bit codes, two in a byte."""
    pairs = codes.view("<u2")
    return ((pairs & 0x0F) | ((pairs >> 4) & 0xF0)).astype(np.uint8)


def _unpack(packed: Payload) -> Codes:
    """Unpack two codes from each byte, shifting their signs in."""
    codes = np.empty((len(packed), 2), np.int8)
    np.right_shift((packed << 4).view(np.int8), 4, out=codes[:, 0])
    np.right_shift(packed.view(np.int8), 4, out=codes[:, 1])
    return codes.reshape(-1)

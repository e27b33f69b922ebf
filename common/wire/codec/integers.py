"""Numbers as 8-bit or 4-bit codes times a scale per output channel, symmetric around 0.

A channel's scale is its largest magnitude divided by the largest code, so that the error is at most half a scale per
number, or less than a whole one where numbers are rounded at random. A channel below `_SMALLEST` times the largest
code, which is all zero for every purpose, has scale 0.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from fedphd.common.wire.codec.base import Codec, Payload, Vector
from fedphd.common.wire.codec.errors import CodecError
from fedphd.common.wire.codec.layout import blocks, section_sizes
from fedphd.common.wire.codec.rounding import round_to_whole

if TYPE_CHECKING:
    from fedphd.common.network.structure import Structure

Codes = NDArray[np.int8]

_SMALLEST = np.finfo(np.float32).tiny  # a scale below has too few digits to be divided by


class IntegerCodec(Codec):
    """Codes times scales.

    Attributes
    ----------
    bits : int
        Of one code.
    """

    draws: ClassVar[bool] = True
    bits: ClassVar[int]

    @classmethod
    def largest(cls) -> int:
        """Give the largest code."""
        return (1 << cls.bits - 1) - 1

    @classmethod
    def nbytes(cls, structure: Structure) -> int:
        """Count the bytes of scales, float32 numbers and codes."""
        scales, exact, codes = section_sizes(structure)
        return 4 * (scales + exact) + (codes * cls.bits + 7) // 8

    def encode(self, structure: Structure, vector: Vector, seed: int | None) -> Payload:
        """Encode block by block."""
        payload = np.empty(self.nbytes(structure), np.uint8)
        scales, exact, packed = _sections(structure, payload)
        codes, largest = self.room(packed), self.largest()
        for (name, _), block in zip(structure.tensors, blocks(structure), strict=True):
            numbers = vector[block.numbers]
            if block.channels:
                rows = numbers.reshape(block.channels, -1)
                scales[block.scales] = own = _scales(rows, largest)
                steps = round_to_whole(rows / np.where(own > 0, own, 1)[:, None], self.rounding, seed, name)
                codes[block.codes] = np.clip(steps, -largest, largest).reshape(-1)
            else:
                exact[block.exact] = numbers
        self.pack(codes, packed)
        return payload

    @classmethod
    def decode(cls, structure: Structure, payload: Payload) -> Vector:
        """Decode block by block; no number or scale is trusted, nor a code outside the range."""
        name = cls.__name__.lower()
        scales, exact, packed = _sections(structure, payload)
        if not np.isfinite(exact).all():
            raise CodecError(f"{name} data has numbers that are not finite")
        if not ((scales >= 0) & (scales <= _largest_scale(cls.largest()))).all():  # not so for NaN either
            raise CodecError(f"{name} data has a scale that is negative, too large or not finite")
        codes = _checked(cls.unpack(packed), section_sizes(structure)[2], cls.largest(), name)
        vector = np.empty(structure.size, np.float32)
        for block in blocks(structure):
            if block.channels:
                rows = codes[block.codes].reshape(block.channels, -1)
                np.multiply(rows, scales[block.scales, None], out=vector[block.numbers].reshape(rows.shape))
            else:
                vector[block.numbers] = exact[block.exact]
        return vector

    @classmethod
    @abstractmethod
    def room(cls, packed: Payload) -> Codes:
        """Give an array to write the codes to; 0 where nothing will be written."""

    @classmethod
    @abstractmethod
    def pack(cls, codes: Codes, packed: Payload) -> None:
        """Pack the codes that were written to `room`."""

    @classmethod
    @abstractmethod
    def unpack(cls, packed: Payload) -> Codes:
        """Unpack all codes."""


def _sections(structure: Structure, payload: Payload) -> tuple[Vector, Vector, Payload]:
    """Give views of the scales, the float32 numbers and the packed codes."""
    scales, exact, _ = section_sizes(structure)
    floats = payload[: 4 * (scales + exact)].view("<f4")
    return floats[:scales], floats[scales:], payload[4 * (scales + exact) :]


def _largest_scale(largest: int) -> float:
    """Give a scale whose product with the largest code is just within float32."""
    return float(np.nextafter(np.finfo(np.float32).max / np.float32(largest), np.float32(0)))


def _scales(rows: Vector, largest: int) -> Vector:
    """Compute the scale of each row of numbers, shape (channels, numbers in one)."""
    peaks = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    scales = np.minimum(peaks / np.float32(largest), _largest_scale(largest))
    return np.where(scales < _SMALLEST, np.float32(0), scales)


def _checked(codes: Codes, count: int, largest: int, name: str) -> Codes:
    """Check the codes' range, and that nothing follows them."""
    if codes.size and codes.min() < -largest:
        raise CodecError(f"{name} data has a code below -{largest}")
    if codes[count:].any():
        raise CodecError(f"{name} data has a last byte whose unused half is not 0")
    return codes[:count]

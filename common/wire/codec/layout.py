"""Where each tensor lies in the bytes of the integer codecs, from the shapes alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedphd.common.network.structure import Shape, Structure


@dataclass(frozen=True)
class Block:
    """A tensor's place in the vector, and in the three sections of an integer payload.

    Attributes
    ----------
    numbers : slice
        In the model's vector.
    channels : int
        Size of the first dimension, each with a scale of its own; 0: the tensor stays float32.
    scales, exact, codes : slice
        In the scales, the float32 numbers and the codes; empty where the tensor has none.
    """

    numbers: slice
    channels: int
    scales: slice
    exact: slice
    codes: slice


def blocks(structure: Structure) -> Iterator[Block]:
    """Yield the place of each tensor, in the structure's order."""
    start = scale = code = 0
    for _, shape in structure.tensors:
        size, channels = prod(shape), _channels(shape)
        coded, exact = (size, 0) if channels else (0, size)
        yield Block(
            slice(start, start + size),
            channels,
            slice(scale, scale + channels),
            slice(start - code, start - code + exact),
            slice(code, code + coded),
        )
        start, scale, code = start + size, scale + channels, code + coded


def section_sizes(structure: Structure) -> tuple[int, int, int]:
    """Count the scales, the numbers that stay float32, and the codes of an integer payload."""
    codes = sum(prod(shape) for _, shape in structure.tensors if _channels(shape))
    return sum(_channels(shape) for _, shape in structure.tensors), structure.size - codes, codes


def _channels(shape: Shape) -> int:
    """Scales of a tensor; none where a scale would be as long as the channel."""
    return shape[0] if prod(shape[1:]) > 1 else 0

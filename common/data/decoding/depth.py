"""How values of more than 8 bits become 0 to 255: by one range for a whole set of images, never clipped in silence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedphd.common.errors import SettingError

BITS = (1, 2, 4, 8, 10, 12, 14, 16, 24, 32)  # of scanners and cameras, so that holders' ranges mostly agree
AN_IMAGE = "an image"  # which errors speak of before anyone says which
FRACTIONS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


@dataclass(frozen=True)
class Range:
    """The values that become 0 and 255; those between are spread evenly.

    Attributes
    ----------
    low, high : float
        The values. If they are the same, what is above becomes 255 and the rest 0.
    strict : bool
        Whether values beyond are an error, and not taken for the nearest end.
    """

    low: float
    high: float
    strict: bool = False

    def __str__(self) -> str:
        """Give both ends."""
        return f"{self.low:.6g} to {self.high:.6g}"

    def to_bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Scale values of any shape to 0 ... 255, rounded; what is no number becomes 0.

        Raises
        ------
        SettingError
            If the range is strict, and a value is beyond it.
        """
        exact = np.nan_to_num(values.astype(np.float64), nan=self.low, posinf=self.high, neginf=self.low)
        if self.strict and exact.size and (exact.min() < self.low or exact.max() > self.high):
            held = Range(float(exact.min()), float(exact.max()))
            advice = f"{AN_IMAGE} holds values from {held}; give more bits, [low, high], or auto"
            raise SettingError("data.depth", int(self.high + 1).bit_length() - 1, advice)
        if self.high == self.low:
            return np.where(exact > self.high, 255, 0).astype(np.uint8)
        scaled = (exact - self.low) * (255 / (self.high - self.low))
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Depth:
    """The ranges of a set's images of more than 8 bits.

    Attributes
    ----------
    whole, fractions : Range or None
        Of whole numbers, and of others; None: of whole numbers all that their type can hold, and of others none.
    """

    whole: Range | None = None
    fractions: Range | None = None

    def to_bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Scale values of any shape and type; 8 bits stay as they are.

        Raises
        ------
        ValueError
            If there is no range for them.
        """
        if values.dtype == np.uint8:
            return values
        if is_whole(values):
            unsigned = values.dtype in (np.dtype(np.uint16), np.dtype(">u2"))
            chosen = self.whole or (Range(0, 65535) if unsigned else None)
        else:
            chosen = self.fractions
        if chosen is None:
            raise ValueError(f"it holds {values.dtype} values, and no range is known that becomes 0 to 255")
        return chosen.to_bytes(values)


NO_RANGE = Depth()  # known for none but 16 bits


def is_whole(values: NDArray[Any]) -> bool:
    """Whether an array holds whole numbers by its type."""
    return bool(np.issubdtype(values.dtype, np.integer))


def extremes(values: NDArray[Any]) -> Range | None:
    """Find the lowest and the highest finite value; None, if there is none."""
    finite = values if is_whole(values) else values[np.isfinite(values)]
    return Range(float(finite.min()), float(finite.max())) if finite.size else None


def around(ranges: Collection[Range]) -> Range | None:
    """Give the range that holds all of several; None, if there are none."""
    return Range(min(one.low for one in ranges), max(one.high for one in ranges)) if ranges else None


def usual_range(seen: Range, *, whole: bool) -> Range:
    """Choose the range of all images in which these values were seen (`data.depth=auto`).

    Whole numbers from 0: 0 to the smallest 2^b - 1 that holds them, with b of `BITS` (a 12-bit scanner: 4095).
    Others: 0 to 1, -1 to 1 or 0 to 255, if it holds them and they reach beyond its half. Otherwise from the lowest to
    the highest value. The rule is ours: the ranges of several holders agree unless one has far fainter images.
    """
    if whole and seen.low >= 0 and seen.high < 2 ** BITS[-1]:
        return Range(0, next(2**bits - 1 for bits in BITS if seen.high < 2**bits))
    if not whole:
        for low, high in FRACTIONS:
            reach = max(abs(seen.low), abs(seen.high))
            if low <= seen.low and seen.high <= high and reach > high / 2 and (low == 0 or seen.low < 0):
                return Range(low, high)
    return seen


def given_range(depth: int | tuple[float, float]) -> Range:
    """Make the range of a given number of bits, beyond which values are refused, or from low to high."""
    if isinstance(depth, int):
        return Range(0, 2**depth - 1, strict=True)
    return Range(*depth)

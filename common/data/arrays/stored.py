"""Images in an array of a file: read when they are first asked for, and then held in memory as pixels of 8 bits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.arrays.archive import Archive, ArchiveError
from fedphd.common.data.arrays.layout import Layout, channels_first, flatten
from fedphd.common.data.decoding.colour import Colour
from fedphd.common.data.decoding.depth import Depth, Range, around, extremes, usual_range
from fedphd.common.data.images import ImageSet, Indices, Pixels
from fedphd.common.errors import SettingError

BLOCK = 1_000  # images that are scaled at once


@dataclass(frozen=True)
class Stored:
    """An array of images, and how it becomes pixels.

    Attributes
    ----------
    path : Path
        The file.
    stamp : str
        Size and time of change of the file (`file_stamp`): another file is read anew.
    name : str
        The array's name.
    layout : Layout
        Where its channels are.
    depth : Depth
        Which values become 0 and 255.
    background : Colour
        What is seen through transparent pixels.
    """

    path: Path
    stamp: str
    name: str
    layout: Layout
    depth: Depth
    background: Colour


@dataclass(frozen=True, eq=False)
class StoredImages(ImageSet):
    """The images at `chosen` of a stored array; nothing of their pixels is read before they are asked for."""

    stored: Stored
    chosen: Indices

    def images(self, indices: Indices | None = None) -> Pixels:
        """Copy the images at `indices`, or all.

        Raises
        ------
        SettingError
            If the file cannot be read any more, or holds values beyond those that `data.depth` gives.
        """
        return self._read()[self.chosen if indices is None else self.chosen[indices]]

    @property
    def depth(self) -> Depth:
        """The ranges by which values of more than 8 bits are scaled."""
        return self.stored.depth

    def check(self) -> None:
        """Read all pixels once, so that none is found damaged later.

        Raises
        ------
        SettingError
            As `images`.
        """
        self._read()

    def subset(self, indices: Indices) -> Self:
        """Choose the images at `indices`."""
        return replace(self, labels=self.labels[indices], chosen=self.chosen[indices])

    def _read(self) -> Pixels:
        try:
            return _pixels(self.stored)
        except ArchiveError as error:
            raise SettingError("data.path", self.stored.path, f"{self.stored.name} {error}") from None


@lru_cache(maxsize=4)
def _pixels(stored: Stored) -> Pixels:
    """Read an array as pixels (N, C, H, W)."""
    values = Archive(stored.path).read(stored.name)
    blocks = [flatten(stored.depth.to_bytes(block), stored.background) for block in _blocks(values, stored.layout)]
    pixels = np.ascontiguousarray(np.concatenate(blocks))
    pixels.flags.writeable = False
    return pixels


def _blocks(values: NDArray[Any], layout: Layout) -> Iterator[NDArray[Any]]:
    """Give some images at a time as (n, C, H, W), since numbers that are scaled take eight times the memory."""
    for start in range(0, len(values), BLOCK):
        block = channels_first(values[start : start + BLOCK], layout)
        yield block.astype(np.uint8) * np.uint8(255) if block.dtype == np.bool_ else block


def range_in(archive: Archive, names: list[str]) -> tuple[Range, Range] | None:
    """Find which values arrays hold, and by the usual rule the range that becomes 0 to 255.

    Parameters
    ----------
    archive : Archive
        Their file.
    names : list[str]
        The arrays' names; they get one range together.

    Returns
    -------
    tuple[Range, Range] or None
        The values that were seen, and the range; None for arrays of 8 bits and of truth values, which are not read.

    Raises
    ------
    ArchiveError
        If an array cannot be read, or holds what is no number.
    """
    seen: list[Range] = []
    whole = True
    for name in names:
        dtype = archive.heads[name].dtype
        if dtype.kind not in "biuf":
            raise ArchiveError(f"{name} is {dtype}; must be numbers")
        if not is_deep(dtype):
            continue
        values = archive.read(name)
        if not np.isfinite(values).all():
            raise ArchiveError(f"{name} holds values that are no numbers (NaN or infinite); replace them")
        if found := extremes(values):
            seen.append(found)
        whole = whole and (dtype.kind in "iu" or bool((values == np.rint(values)).all()))
    held = around(seen)
    return None if held is None else (held, usual_range(held, whole=whole))


def is_deep(dtype: np.dtype[Any]) -> bool:
    """Whether values have to be scaled, as all have but those of 8 bits and truth values."""
    return dtype != np.uint8 and dtype.kind != "b"

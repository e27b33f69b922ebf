"""What a look at a file tells before its pixels are needed, and the options by which files are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from fedphd.common.data.decoding.colour import WHITE, Colour
from fedphd.common.data.decoding.depth import NO_RANGE, Depth, Range

Plane = Literal["axial", "coronal", "sagittal"]
Window = Literal["file"] | tuple[float, float] | None  # as the file says, centre and width, or none


class Mark(Enum):
    """What is done to an image and its user should hear of, said of so many images."""

    TRANSPARENT = "with transparency put on {background} (data.background)"
    TURNED = "turned upright by EXIF orientation"
    UPPER_BITS = "of 16 bits a colour cut to the upper 8"
    INVERTED = "of DICOM's MONOCHROME1 inverted, so that low values are white"
    NOT_FINITE = "with NaN or infinite values, which became the ends of the range"
    SERIES = "cut from the first volume of a series"


@dataclass(frozen=True)
class Decoding:
    """How the files of a set are decoded, but for shape and crop.

    Attributes
    ----------
    depth : Depth
        The ranges of what has more than 8 bits.
    background : Colour
        On which transparent images lie.
    window : Window
        The values of medical images that become black to white.
    plane : Plane
        Through which volumes are cut.
    """

    depth: Depth = NO_RANGE
    background: Colour = WHITE
    window: Window = "file"
    plane: Plane = "axial"


@dataclass(frozen=True)
class Facts:
    """Of one file.

    Attributes
    ----------
    grey : bool
        Whether it is grey by its mode.
    pages : int
        Pages, frames or slices that it holds.
    deep : bool
        Whether it has more than 8 bits, and no window.
    seen : Range or None
        The lowest and highest value, if it is deep and they were wanted.
    whole : bool
        Whether its values are whole numbers.
    window : Range or None
        The values of its window.
    profile : str or None
        Its colour profile, if that is not sRGB.
    marks : frozenset[Mark]
        What is done to it.
    """

    grey: bool
    pages: int = 1
    deep: bool = False
    seen: Range | None = None
    whole: bool = True
    window: Range | None = None
    profile: str | None = None
    marks: frozenset[Mark] = field(default=frozenset())


def window_range(centre: float, width: float) -> Range:
    """Give the values that a linear window shows as black and white (DICOM PS3.3, C.11.2.1.2.1)."""
    return Range(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


@dataclass(frozen=True)
class Page:
    """One page of a file, where a file gives several images; a path wherever one is wanted.

    Attributes
    ----------
    path : str
        The file.
    number : int
        The page, from 0.
    """

    path: str
    number: int

    def __fspath__(self) -> str:
        """Give the file's path."""
        return self.path

    def __str__(self) -> str:
        """Name file and page."""
        return f"{self.path}, page {self.number}"

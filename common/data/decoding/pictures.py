"""Image files that Pillow reads: opening them, and what their headers tell."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.decoding.colour import is_grey, other_profile
from fedphd.common.data.decoding.depth import Depth, Range, around, extremes, is_whole
from fedphd.common.data.decoding.facts import Facts, Mark
from fedphd.common.data.decoding.formats import formats

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

ORIENTATION, UPRIGHT = 0x0112, 1  # EXIF's tag, and its value of an image that stands as it should
GAP = 4  # a JPEG is decoded at 1/2, 1/4 or 1/8, if that leaves so many times the side that it is resized to
SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}  # byte orders, and the other one


def open_picture(path: str, number: int = 0) -> ImageFile:
    """Open a page of a file, as none of the formats that would start another program."""
    from PIL import Image  # noqa: PLC0415  (only where images are decoded)

    image = Image.open(path, formats=formats())
    if number:
        image.seek(number)
    return image


def load_picture(image: Image, side: int | None) -> None:
    """Decode the pixels of an opened image, and turn it upright.

    Parameters
    ----------
    image : Image
        Changed in place.
    side : int or None
        Pixels that its shorter side is going to have: a JPEG is decoded smaller, if it is much larger; None: it is not.
    """
    from PIL import ImageOps  # noqa: PLC0415

    if side is not None:
        image.draft(None, (GAP * side, GAP * side))
    image.load()
    with suppress(Exception):  # damaged tags are no reason to refuse an image
        ImageOps.exif_transpose(image, in_place=True)


def is_deep(image: Image) -> bool:
    """Whether Pillow gives more than 8 bits of an image."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def is_deep_colour(image: Image) -> bool:
    """Whether an image has 16 bits a colour, of which Pillow gives the upper 8."""
    return image.mode in ("RGB", "RGBA") and any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def deep_colours(path: str, number: int = 0) -> NDArray[np.uint16] | None:
    """Read all 16 bits of each colour: once as they are, and once with the two bytes of each number swapped.

    Returns
    -------
    NDArray[uint16] or None
        Shape (H, W, 3) or (H, W, 4); None if the file holds them in a way that cannot be swapped.
    """
    upper, lower = open_picture(path, number), open_picture(path, number)
    with upper, lower:
        tiles = [_swap(tile) for tile in lower.tile]
        if None in tiles:
            return None
        lower.tile = tiles
        for image in (upper, lower):
            load_picture(image, None)
        both: NDArray[np.uint16] = np.left_shift(np.asarray(upper), 8, dtype=np.uint16) | np.asarray(lower)
        return both


def _swap(tile: Any) -> Any:
    """Give a tile with the other byte order; None, if it has none."""
    several = isinstance(tile.args, tuple)
    raw = str(tile.args[0] if several else tile.args)
    if not raw.startswith(("RGB;16", "RGBA;16")) or raw[-1] not in SWAPPED:
        return None
    swapped = raw[:-1] + SWAPPED[raw[-1]]
    return tile._replace(args=(swapped, *tile.args[1:]) if several else swapped)


def as_bytes(image: Image, depth: Depth) -> Image:
    """Scale a loaded image of more than 8 bits to 8."""
    from PIL import Image as pil  # noqa: N813, PLC0415

    return pil.fromarray(depth.to_bytes(np.asarray(image))) if is_deep(image) else image


def open_upright(path: str, number: int, depth: Depth) -> Image:
    """Open a page; of one with 16 bits a colour, all bits are scaled to 8."""
    from PIL import Image as pil  # noqa: N813, PLC0415

    image = open_picture(path, number)
    colours = deep_colours(path, number) if is_deep_colour(image) else None
    if colours is None:
        return image
    image.close()
    return pil.fromarray(depth.to_bytes(colours))


def look_at_picture(path: str, *, every_page: bool, measure: bool) -> Facts:
    """Look at a file's header; of one with more than 8 bits also at its values, if `measure`.

    Parameters
    ----------
    path : str
        The file.
    every_page : bool
        Whether all its pages are used, or the first.
    measure : bool
        Whether the lowest and highest value are wanted.
    """
    with open_picture(path) as image:
        pages = int(getattr(image, "n_frames", 1))
        deep = is_deep(image) or is_deep_colour(image)
        grey, profile, marks = is_grey(image), other_profile(image), _marks(image)
    if not deep or not measure:
        return Facts(grey, pages, deep, profile=profile, marks=frozenset(marks))
    found: list[Range] = []
    whole = True
    for number in range(pages if every_page else 1):
        values = _values(path, number)
        if values is None:
            return Facts(grey, pages, profile=profile, marks=frozenset({*marks, Mark.UPPER_BITS}))
        whole = whole and is_whole(values)
        if not is_whole(values) and not np.isfinite(values).all():
            marks.add(Mark.NOT_FINITE)
        found += [one for one in (extremes(values),) if one is not None]
    return Facts(grey, pages, True, around(found), whole, profile=profile, marks=frozenset(marks))


def _values(path: str, number: int) -> NDArray[Any] | None:
    with open_picture(path, number) as image:
        if is_deep_colour(image):
            return deep_colours(path, number)
        image.load()
        return np.array(image)


def _marks(image: Image) -> set[Mark]:
    marks = {Mark.TRANSPARENT} if image.has_transparency_data else set()
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode the whole image to look behind it
        return marks
    with suppress(Exception):  # damaged tags
        if image.getexif().get(ORIENTATION, UPRIGHT) in range(2, 9):
            marks.add(Mark.TURNED)
    return marks

"""Where the channels of an array of images are: grey, RGB, either with transparency; first or last."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.arrays.archive import ArchiveError

Layout = Literal["none", "first", "last"]
CHANNELS = {1: "grey", 2: "grey with transparency", 3: "RGB", 4: "RGB with transparency"}
FORMS = "(N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 to 4"


def layout_of(name: str, shape: tuple[int, ...]) -> Layout:
    """Say where the channels are.

    Where both would do, the images are taken to be square, since U-Nets take no others.

    Raises
    ------
    ArchiveError
        If these are no images, or both would do.
    """
    if 0 in shape:
        raise ArchiveError(f"{name} has shape {shape}; must have at least one image, and pixels")
    if len(shape) == 3:
        return "none"
    if len(shape) != 4:
        raise ArchiveError(f"{name} has shape {shape}; must be {FORMS}")
    _, first, middle, last = shape
    able: dict[Layout, bool] = {"last": last in CHANNELS, "first": first in CHANNELS}
    square: dict[Layout, bool] = {"last": first == middle, "first": middle == last}
    found: list[Layout] = [layout for layout in able if able[layout]]
    if len(found) > 1:
        found = [layout for layout in found if square[layout]] or found
    if not found:
        raise ArchiveError(f"{name} has shape {shape}; must be {FORMS}")
    if len(found) > 1 and not first == middle == last == 1:
        raise ArchiveError(
            f"{name} has shape {shape}, in which the channels may be first or last; store grey images as (N, H, W), or "
            "give them another size"
        )
    return found[0]


def channels_in(shape: tuple[int, ...], layout: Layout) -> int:
    """Tell the number of channels, transparency among them."""
    return 1 if layout == "none" else shape[1] if layout == "first" else shape[3]


def size_in(shape: tuple[int, ...], layout: Layout) -> tuple[int, int]:
    """Tell the height and the width."""
    height, width = shape[2:] if layout == "first" else shape[1:3]
    return height, width


def channels_first(pixels: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Give images as (N, C, H, W)."""
    if layout == "none":
        return pixels[:, None]
    return pixels if layout == "first" else np.moveaxis(pixels, 3, 1)


def flatten(pixels: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Lay images with transparency on a background.

    Parameters
    ----------
    pixels : NDArray[uint8]
        Shape (N, C, H, W); the last channel of 2 or 4 is the opacity.
    background : tuple[int, int, int]
        A colour; of grey images its luminance by ITU-R BT.601 counts, as with Pillow.

    Returns
    -------
    NDArray[uint8]
        Shape (N, C - 1, H, W); those without transparency as they are.
    """
    channels = pixels.shape[1]
    if channels in (1, 3):
        return pixels
    grey = round(0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2])
    ground = np.asarray([grey] if channels == 2 else background, np.float32)[None, :, None, None]
    opacity = pixels[:, -1:].astype(np.float32) / 255
    return np.rint(pixels[:, :-1] * opacity + ground * (1 - opacity)).astype(np.uint8)

"""Drawn images as one picture, as a few lines of diffusers and Pillow make it too."""

from collections.abc import Sequence
from math import ceil, isqrt
from typing import cast

from diffusers.utils import make_image_grid
from PIL import Image

MIN_SIDE = 64  # pixels that an image is enlarged to


def grid_of(images: Sequence[Image.Image]) -> Image.Image:
    """Lay images out row by row in a square; places that are left over are white.

    Small images are enlarged by a whole factor with nearest neighbour, so that each pixel shows as it is.
    """
    side = enlarged_side(images[0].height)
    shown = [
        image.resize((side, side), Image.Resampling.NEAREST) if side != image.height else image for image in images
    ]
    columns = side_of(len(shown))
    rows = ceil(len(shown) / columns)
    empty = [Image.new("RGB", (side, side), "white")] * (rows * columns - len(shown))
    return cast(Image.Image, make_image_grid([*shown, *empty], rows=rows, cols=columns))


def side_of(count: int) -> int:
    """Give the columns of a near-square grid."""
    return 1 + isqrt(count - 1)


def enlarged_side(side: int) -> int:
    """Give the side that an image of so many pixels is shown with."""
    return side * ceil(MIN_SIDE / side)

"""Sample grids: many small images in one picture that a person can look at."""

from math import ceil, isqrt
from pathlib import Path

import numpy as np
import torch
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from fedphd.common.data.images import Indices, Pixels

MIN_SIDE = 64  # pixels that an image is enlarged to
GAP = 2  # pixels between images, before the picture's edge too


def save_grid(images: Pixels, path: Path, columns: int | None = None) -> None:
    """Write images as a grid in a PNG file, row by row.

    Small images are enlarged by a whole factor with nearest neighbour, so that each pixel shows
    as it is.

    Parameters
    ----------
    images : NDArray[uint8]
        Shape (n, C, H, W), C being 1 or 3.
    path : Path
        The file; its folder is made. It appears whole or not at all.
    columns : int, optional
        Images in a row; by default as many as make the grid nearly square.
    """
    factor = ceil(MIN_SIDE / min(images.shape[2:]))
    enlarged = torch.from_numpy(images).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    picture = to_pil_image(make_grid(enlarged, nrow=columns or 1 + isqrt(len(images) - 1), padding=GAP, pad_value=255))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    picture.save(draft, format="PNG")
    draft.replace(path)


def rows_by_class(images: Pixels, labels: Indices, classes: int, columns: int) -> Pixels:
    """Put images in rows, one for each class; where a class has too few, its row ends white.

    Parameters
    ----------
    images : NDArray[uint8]
        Shape (n, C, H, W).
    labels : NDArray[int64]
        Their class numbers, shape (n,).
    classes, columns : int
        Rows, and images in each.

    Returns
    -------
    NDArray[uint8]
        Shape (classes * columns, C, H, W).
    """
    rows = np.full((classes, columns, *images.shape[1:]), 255, np.uint8)
    for number, row in enumerate(rows):
        own = images[labels == number][:columns]
        row[: len(own)] = own
    return rows.reshape(-1, *images.shape[1:])

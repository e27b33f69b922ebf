"""Sample grids: many small images in one picture that a person can look at."""

from math import ceil, isqrt
from pathlib import Path

import torch
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from fedphd.common.data.images import Pixels

MIN_SIDE = 64  # pixels that an image is enlarged to
GAP = 2  # pixels between images, before the picture's edge too


def save_grid(images: Pixels, path: Path) -> None:
    """Write images as a near-square grid in a PNG file, row by row.

    Small images are enlarged by a whole factor with nearest neighbour, so that each pixel shows
    as it is.

    Parameters
    ----------
    images : NDArray[uint8]
        Shape (n, C, H, W), C being 1 or 3.
    path : Path
        The file; its folder is made. It appears whole or not at all.
    """
    factor = ceil(MIN_SIDE / min(images.shape[2:]))
    enlarged = torch.from_numpy(images).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    columns = 1 + isqrt(len(images) - 1)
    picture = to_pil_image(make_grid(enlarged, nrow=columns, padding=GAP, pad_value=255))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    picture.save(draft, format="PNG")
    draft.replace(path)

"""Between what images are compared: by default their pixels, made small; or a user's own features."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedphd.common.choices import find_named
from fedphd.common.data.images import Pixels
from fedphd.common.errors import SettingError

KEY = "evaluation.memorisation_features"
SIDE = 32  # pixels to which larger images are made smaller, as those of Carlini et al. 2023
BLOCK = 256  # images at once

FeatureMap = Callable[[Tensor], Any]  # of uint8 images (n, C, H, W): features (n, d)


def pixels(images: Tensor) -> Tensor:
    """Give pixels from 0 to 1, of larger images the means over areas, at most 32 x 32 of them."""
    height, width = (min(side, SIDE) for side in images.shape[2:])
    return F.adaptive_avg_pool2d(images.float() / 255, (height, width)).flatten(1)


FEATURES: dict[str, FeatureMap] = {"pixels": pixels}


@lru_cache(maxsize=1)
def find_features(name: str) -> FeatureMap:
    """Find features by their name, or a user's own function or class by its import path.

    A class is made without arguments, once: of one that draws its weights, all images get the same features. A
    `torch.nn.Module` is put into evaluation mode.

    Raises
    ------
    SettingError
        If there are no such features.
    """
    found = find_named(KEY, name, FEATURES, "kind of features", "package.module:attribute")
    made = found() if isinstance(found, type) else found
    if not callable(made):
        raise SettingError(KEY, name, "must be a function of uint8 images (n, C, H, W) that gives features (n, d)")
    return made.eval() if isinstance(made, nn.Module) else made


def features_of(images: Pixels, name: str, device: torch.device) -> Tensor:
    """Map images to features, block by block.

    Parameters
    ----------
    images : NDArray[uint8]
        Shape (n, C, H, W).
    name : str
        `evaluation.memorisation_features`.
    device : torch.device
        Where to compute; the features stay there.

    Returns
    -------
    Tensor
        float32, shape (n, d).

    Raises
    ------
    SettingError
        If there are no such features, or they are anything else than finite numbers, a row for each image.
    """
    features = find_features(name)
    if isinstance(features, nn.Module):
        features = features.to(device)
    blocks = [images[start : start + BLOCK] for start in range(0, len(images), BLOCK)] or [images]
    with torch.no_grad():
        return torch.cat([_checked(features, torch.from_numpy(np.array(block)).to(device), name) for block in blocks])


def _checked(features: FeatureMap, images: Tensor, name: str) -> Tensor:
    found = features(images)
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
        given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise SettingError(KEY, name, f"returned {given}; must return a tensor of shape (n, d), here n={len(images)}")
    if not found.isfinite().all():
        raise SettingError(KEY, name, "returned features that are not finite")
    return found.float()

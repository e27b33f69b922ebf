"""Nearest neighbours, by the measures with which the literature looks for memorised training images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedphd.common.data.images import Indices

Array = NDArray[np.float64]

NEIGHBOURS = 50  # n of Carlini et al. 2023, section 5.1
ALPHA = 0.5  # and their alpha
NUMBERS = 2**24  # distances in memory at once
EXACT = "donot_use_mm_for_euclid_dist"  # the fast way says that two copies are 0.001 apart


@dataclass(frozen=True)
class Nearest:
    """Where each of n images is among N others, all by their features (d,).

    Attributes
    ----------
    index : NDArray[int64]
        Place of the nearest other, shape (n,).
    distance : NDArray[float64]
        l(x, y) = ||x - y|| / sqrt(d) to it, shape (n,): the root of the mean squared difference.
    ratio : NDArray[float64]
        Shape (n,): l(x, y) / (alpha E[l(x, z)]) over the 50 nearest z, or as many as there are, with alpha = 1/2
        (Carlini et al. 2023, "Extracting Training Data from Diffusion Models", section 5.1). What lies near to
        everything, as a blurred image, has a ratio of about 2; a copy has 0.
    """

    index: Indices
    distance: Array
    ratio: Array


def nearest(queries: Tensor, others: Tensor) -> Nearest:
    """Find the nearest of other images to each image.

    Parameters
    ----------
    queries, others : Tensor
        Features of shapes (n, d) and (N, d) on one device, with N at least 1.
    """
    found = [_smallest(block, others, min(NEIGHBOURS, len(others))) for block in _blocks(queries, others)]
    distances, places = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    wide = distances.astype(np.float64)
    mean = ALPHA * wide.mean(1)
    ratio = np.divide(wide[:, 0], mean, out=np.zeros(len(wide)), where=mean > 0)
    return Nearest(places[:, 0], wide[:, 0], ratio)


def spacing(images: Tensor, places: Indices) -> Array:
    """Give the distance from some images of a set to the nearest other image of that set.

    Parameters
    ----------
    images : Tensor
        Features of shape (N, d).
    places : NDArray[int64]
        Places of the images that are asked for, shape (n,).

    Returns
    -------
    NDArray[float64]
        As `Nearest.distance`, shape (n,); zeros if there is no other image.
    """
    if len(images) < 2:
        return np.zeros(len(places))
    unique, back = np.unique(places, return_inverse=True)
    found = []
    for block in torch.from_numpy(unique).split(max(NUMBERS // len(images), 1)):
        distances = _distances(images[block], images)
        distances[torch.arange(len(block)), block] = torch.inf  # itself
        found.append(distances.amin(1).cpu().numpy().astype(np.float64))
    own: Array = np.concatenate(found)[back]
    return own


def _blocks(queries: Tensor, others: Tensor) -> tuple[Tensor, ...]:
    blocks: tuple[Tensor, ...] = queries.split(max(NUMBERS // len(others), 1))
    return blocks


def _smallest(queries: Tensor, others: Tensor, count: int) -> tuple[Tensor, Tensor]:
    values, places = _distances(queries, others).topk(count, dim=1, largest=False)
    return values, places


def _distances(queries: Tensor, others: Tensor) -> Tensor:
    distances: Tensor = torch.cdist(queries, others, compute_mode=EXACT) / queries.shape[1] ** 0.5
    return distances

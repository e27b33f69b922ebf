"""Improved precision and recall: how many generated images look real, and how much of the real ones is reached."""

import os
from collections.abc import Iterator

import torch
from torch import Tensor

from fedphd.common.training.compute import threads
from fedphd.common.training.seeding import numpy_rng
from fedphd.server.evaluation.frechet import Array
from fedphd.server.evaluation.measures.clouds import Clouds

NEIGHBOURS = 3  # k, as the authors
BLOCK = 1_000  # rows of distances at once


def precision_recall(clouds: Clouds) -> dict[str, float]:
    """Estimate precision and recall by k nearest neighbours (Kynkäänniemi et al. 2019, section 2), k = 3.

    Both sides have as many images as the smaller one, more than k, as in the paper; of the real ones they are drawn.

    Returns
    -------
    dict[str, float]
        ``precision_<features>``, the share of the generated images that lie within the manifold of the real ones, and
        ``recall_<features>``, the reverse; higher is better. The authors' features are those of VGG-16.
    """
    size = min(len(clouds.real), len(clouds.generated))
    drawn = numpy_rng(clouds.seed, "evaluation", "precision and recall").permutation(len(clouds.real))[:size]
    real, generated = clouds.real[drawn], clouds.generated[:size]
    return {
        f"precision_{clouds.over}": share_within(generated, real),
        f"recall_{clouds.over}": share_within(real, generated),
    }


def share_within(points: Array, cloud: Array, k: int = NEIGHBOURS) -> float:
    """Give the share of points that lie within the manifold of a cloud.

    This is the union of the balls around its points that reach to their k-th nearest neighbours in it.

    Parameters
    ----------
    points, cloud : NDArray[float64]
        Shapes (n, d) and (m, d), m above k.
    k : int
        Neighbours, without the point itself.
    """
    inside, centres = torch.from_numpy(points), torch.from_numpy(cloud)
    with threads(os.cpu_count() or 1):
        radii = torch.cat([far.kthvalue(k + 1, dim=1).values for far in _distances(centres, centres)])
        within = sum(int((far <= radii).any(1).sum()) for far in _distances(inside, centres))
    return within / len(points)


def _distances(points: Tensor, cloud: Tensor) -> Iterator[Tensor]:
    """Yield the distances of some points to all of the cloud, shape (at most 1000, m)."""
    return (torch.cdist(points[start : start + BLOCK], cloud) for start in range(0, len(points), BLOCK))

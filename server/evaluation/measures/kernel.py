"""The kernel distance between two sets of features, which is KID over those of Inception."""

import numpy as np

from fedphd.common.training.seeding import numpy_rng
from fedphd.server.evaluation.frechet import Array
from fedphd.server.evaluation.measures.clouds import Clouds

SUBSETS, SUBSET = 100, 1_000  # how many, and images in each: as the authors of KID and clean-fid


def kernel_distance(clouds: Clouds) -> dict[str, float]:
    """Estimate the squared MMD under a polynomial kernel (Bińkowski et al. 2018, section 4).

    The mean over 100 subsets of at most 1,000 images of each side, drawn without replacement.

    Returns
    -------
    dict[str, float]
        ``kid`` over Inception's features, else ``kd_<features>``; lower is better. It has no bias, and so may fall
        below zero.
    """
    name = "kid" if clouds.over == "inception" else f"kd_{clouds.over}"
    rng = numpy_rng(clouds.seed, "evaluation", "kernel distance")
    size = min(SUBSET, len(clouds.real), len(clouds.generated))
    distances = [
        squared_mmd(*(side[rng.permutation(len(side))[:size]] for side in (clouds.real, clouds.generated)))
        for _ in range(SUBSETS)
    ]
    return {name: float(np.mean(distances))}


def squared_mmd(x: Array, y: Array) -> float:
    """Estimate MMD^2 without bias (Gretton et al. 2012, equation 3), with the kernel k(x, y) = (x.y / d + 1)^3.

    Parameters
    ----------
    x, y : NDArray[float64]
        Shapes (m, d) and (n, d), with m and n at least 2.
    """
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2 * float(_kernel(x, y).mean())


def _mean_of_pairs(x: Array) -> float:
    """Mean of the kernel over all pairs of different points."""
    kernel = _kernel(x, x)
    return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))


def _kernel(x: Array, y: Array) -> Array:
    root: Array = x @ y.T / x.shape[1] + 1
    return root * root * root

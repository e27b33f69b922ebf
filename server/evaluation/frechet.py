"""The Fréchet distance between two sets of features, each seen as a Gaussian."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.images import Indices

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """Mean mu, shape (d,), and covariance C, shape (d, d)."""

    mean: Array
    covariance: Array

    @cached_property
    def root(self) -> Array:
        """C^1/2, shape (d, d), taken once: a reference is measured against many times."""
        values, vectors = np.linalg.eigh(self.covariance)
        found: Array = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        return found


def fit_gaussian(features: Array, counts: Indices | None = None) -> Gaussian:
    """Fit mean and unbiased covariance to features of shape (n, d).

    Parameters
    ----------
    features : NDArray[float64]
        Shape (n, d).
    counts : NDArray[int64], optional
        How often each row counts, shape (n,), at least two in all; by default once.

    Raises
    ------
    ValueError
        If there are fewer than two rows, which have no covariance.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"needs features of shape (n, d) with n of at least 2, not {features.shape}")
    wide = features.astype(np.float64, copy=False)
    mean = wide.mean(0) if counts is None else np.average(wide, axis=0, weights=counts)
    return Gaussian(mean, np.atleast_2d(np.cov(wide, rowvar=False, fweights=counts)))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Compute the squared Fréchet (2-Wasserstein) distance of two Gaussians.

    d^2 = ||mu_a - mu_b||^2 + tr(C_a) + tr(C_b) - 2 tr((C_a^1/2 C_b C_a^1/2)^1/2), the number that is
    called FID over Inception features (Heusel et al. 2017, equation 6). The roots are taken by
    symmetric eigendecompositions, which stay real where the covariances are singular.

    Returns
    -------
    float
        Not negative.
    """
    offset = a.mean - b.mean
    overlap = np.sqrt(np.linalg.eigvalsh(a.root @ b.covariance @ a.root).clip(0)).sum()
    distance = offset @ offset + np.trace(a.covariance) + np.trace(b.covariance) - 2 * overlap
    return max(float(distance), 0.0)  # rounding leaves about -1e-12 where the two are equal

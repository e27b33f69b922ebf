"""Statistical homogeneity of label distributions, FedPhD's measure of how alike a data holder is to the target.

The formulas are those of the authors' public code; the paper's own notation was not available.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Distribution = NDArray[np.float64]
Unit = Literal["client", "image"]  # what FedPhD's a and b are counted in


def uniform(classes: int) -> Distribution:
    """Make the target distribution q*: the same share for each of `classes` classes."""
    return np.full(classes, 1 / classes)


def homogeneity(q: ArrayLike, target: ArrayLike | None = None) -> float:
    """Score how close a label distribution is to the target: SH(q) = 2 - ||q* - q||_2.

    Parameters
    ----------
    q : ArrayLike
        Shape (classes,): fractions of each class, summing to one.
    target : ArrayLike, optional
        Shape (classes,): q*. Uniform if not given, as in the authors' code.

    Returns
    -------
    float
        At most 2, which is reached at the target.
    """
    q = np.asarray(q, float)
    goal = uniform(len(q)) if target is None else np.asarray(target, float)
    return 2.0 - float(np.linalg.norm(goal - q))


def distribution(counts: ArrayLike) -> Distribution:
    """Turn label counts (classes,) into fractions; no images at all count as the uniform target."""
    counts = np.asarray(counts, float)
    total = counts.sum()
    return counts / total if total > 0 else uniform(len(counts))


def told_samples(counts: ArrayLike) -> int:
    """Tell the number of images: that of the told counts, so that it gives no more away than they do."""
    return max(1, round(float(np.sum(counts))))


def images_in(unit: Unit, mean_samples: float) -> float:
    """Tell how many images a unit of FedPhD's a and b stands for.

    The authors count in images and set a by hand for each data set: 10,000 in the draw and up to 50,000 in the root's
    weights, with 2,500 images at a client. In mean clients that is 4 and up to 20, whatever the data set; this unit is
    ours.

    Parameters
    ----------
    unit : str
        "client": as many images as a client has on average; "image": one.
    mean_samples : float
        n_bar: mean number of images of a client.
    """
    return mean_samples if unit == "client" else 1.0


@dataclass(frozen=True)
class LabelState:
    """An edge's state (q_e, n_e) between two root aggregations.

    Attributes
    ----------
    q : Distribution
        Shape (classes,): label distribution of all images counted so far.
    n : float
        Number of images counted so far.
    """

    q: Distribution
    n: float

    @classmethod
    def initial(cls, classes: int) -> Self:
        """Start as the authors' code does after each root aggregation: q_e uniform, n_e = 0."""
        return cls(uniform(classes), 0.0)

    def add(self, q_k: Distribution, n_k: float) -> "LabelState":
        """Count a client's images in: q_e <- (n_e q_e + n_k q_k) / (n_e + n_k); n_e <- n_e + n_k."""
        total = self.n + n_k
        if total == 0:
            return self
        return LabelState((self.n * self.q + n_k * q_k) / total, total)

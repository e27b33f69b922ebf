"""Which classes to ask images of, so that they come in given proportions."""

from collections.abc import Sequence

import numpy as np

from fedphd.common.data.images import Indices


def in_proportion(counts: Sequence[float], images: int, first: int = 0) -> Indices:
    """Say which class each of some images should be of.

    Each place gets the class that is furthest behind its share there (ours): so after any number of images, each class
    has its share of them to within about one, and a place's class does not depend on how many follow.

    Parameters
    ----------
    counts : Sequence[float]
        How much each class counts, shape (classes,), not negative; if all are zero, classes count alike.
    images : int
        n.
    first : int
        Place of the first one.

    Returns
    -------
    NDArray[int64]
        Class numbers, shape (n,).
    """
    weights = np.asarray(counts, np.float64)
    if not weights.any():
        weights = np.ones_like(weights)
    total = weights.sum()
    asked = np.empty(first + images, np.int64)
    behind = np.zeros(len(weights))  # in images times the total, so that whole counts stay exact
    for place in range(len(asked)):
        behind += weights
        asked[place] = behind.argmax()  # of equal ones the first
        behind[asked[place]] -= total
    return asked[first:]

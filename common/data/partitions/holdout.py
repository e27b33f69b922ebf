"""What a client holds out of its own images: it never trains on them, and measures the model with them."""

import numpy as np

from fedphd.common.data.partitions.base import Indices
from fedphd.common.training.seeding import numpy_rng


def hold_out(images: int, share: float, seed: int, client: int) -> tuple[Indices, Indices]:
    """Draw which of a client's images it holds out.

    Parameters
    ----------
    images : int
        How many it has.
    share : float
        `partition.holdout`. Above 0, at least one image is held out and at least one is left to train on; of a single
        image none is held out.
    seed : int
        The run's seed.
    client : int
        The client's index: each draws from a stream of its own.

    Returns
    -------
    tuple[NDArray[int64], NDArray[int64]]
        Places of the images to train on, and of those held out, ascending.
    """
    count = min(max(round(images * share), 1), images - 1) if share > 0 and images else 0
    order = numpy_rng(seed, "partition", "holdout", client).permutation(images)
    return np.sort(order[count:]), np.sort(order[:count])

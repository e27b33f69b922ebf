"""Rounding to whole numbers: to the nearest, or up or down at random so that the mean is the number itself."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedphd.common.training.seeding import numpy_rng

Rounding = Literal["nearest", "stochastic"]
Numbers = NDArray[np.floating]


def round_to_whole(numbers: Numbers, rounding: Rounding, seed: int | None, tensor: str) -> Numbers:
    """Round to whole numbers.

    Stochastic rounding gives floor(x + u) with u uniform in [0, 1), so that its mean is x: a change that is smaller
    than a step is not lost, but made as a whole step with the probability of its share of one (Gupta et al. 2015).

    Parameters
    ----------
    numbers : NDArray[floating]
        In steps of the scale.
    rounding : str
        nearest (ties to even) or stochastic.
    seed : int or None
        Of the message; None where nothing is drawn.
    tensor : str
        Names the stream, so that a tensor is rounded alike in the messages that hold it, whatever else they hold.

    Raises
    ------
    ValueError
        If rounding is stochastic and there is no seed.
    """
    if rounding == "nearest":
        whole: Numbers = np.rint(numbers)
        return whole
    if seed is None:
        raise ValueError("stochastic rounding needs the message's seed")
    drawn: Numbers = np.floor(numbers + numpy_rng(seed, tensor).random(numbers.shape, np.float32))
    return drawn

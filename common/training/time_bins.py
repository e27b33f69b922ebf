"""The diffusion times in bins, over which a loss is told."""

from itertools import pairwise

BINS = 10  # ours


def time_bins(timesteps: int) -> list[range]:
    """Cut the times 0 to T - 1 into ten bins of the same size, or T if there are fewer times.

    Parameters
    ----------
    timesteps : int
        T.
    """
    bins = min(BINS, timesteps)
    edges = [timesteps * index // bins for index in range(bins + 1)]
    return [range(*pair) for pair in pairwise(edges)]

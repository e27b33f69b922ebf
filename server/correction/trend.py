"""When learning is slow: FedDDPM+'s trigger. The paper's own is not known; this one is ours."""

from collections.abc import Sequence
from statistics import fmean


def learning_is_slow(losses: Sequence[float | None], window: int, threshold: float) -> bool:
    """Whether the loss has hardly fallen: less than a share `threshold`, from one window of rounds to the next.

    Parameters
    ----------
    losses : Sequence[float or None]
        Mean client loss of each root round, in their order; None for a round in which nobody trained,
        which is passed over.
    window : int
        Rounds on either side of the comparison.
    threshold : float
        Share of the older window's mean by which the newer one's must be lower. Below zero, the loss
        must even rise by that share before learning counts as slow.

    Returns
    -------
    bool
        False while there are fewer than two windows.
    """
    known = [loss for loss in losses if loss is not None]
    if len(known) < 2 * window:
        return False
    before, after = fmean(known[-2 * window : -window]), fmean(known[-window:])
    return before - after < threshold * before

"""Whether a model repeats images that a client trained on, by the distances that the client tells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from fedphd.common.wire.messages import Distances

Flags = NDArray[np.bool_]

QUANTILE = 0.05  # of the held-out images' distances, below which an image is near
COPY = 0.5  # of that quantile, below which it is a copy
LEVEL = 0.01  # chance of a false alarm in a whole run


@dataclass(frozen=True)
class Verdict:
    """What a client's distances say of n generated images.

    Attributes
    ----------
    near : NDArray[bool]
        Which are nearer to a training image than nearly all held-out images are, shape (n,); by the distance and by
        its ratio to those of the 50 nearest, since a blurred image has a small distance to everything.
    expected : float
        Share of them that would be near, at most, if the model drew new images of this client's kind.
    p_value : float
        Chance of so many or more, if it did.
    copies : NDArray[bool]
        Which are at less than half of that distance and of that ratio, shape (n,).
    authentic : NDArray[bool]
        Which are not authentic in the sense of Alaa et al. 2022 are False, shape (n,): they are nearer to a training
        image than any other training image of the client is.
    authentic_held_out : float
        Share of the held-out images that are authentic in that sense: that of a model which memorises nothing.
    blind : bool
        Whether so many held-out images are the same as training images that a copy is no sign of memorising.
    """

    near: Flags
    expected: float
    p_value: float
    copies: Flags
    authentic: Flags
    authentic_held_out: float
    blind: bool

    def flagged(self, clients: int) -> bool:
        """Say whether the model repeats images of the client, one of so many clients that are asked."""
        return bool(self.copies.any() and not self.blind) or self.p_value * clients < LEVEL


def judge(distances: Distances) -> Verdict | None:
    """Compare generated images' distances with those of held-out images, which the model never saw.

    Of m held-out images, the k-th nearest is the threshold, with k = 5 % of m + 1, and at least 1. A new image of the
    same kind is nearer with chance k / (m + 1), and the number of such ones among n follows the beta-binomial
    distribution with parameters n, k, m + 1 - k, however few images there are (order statistics; its use here is ours).

    Where k held-out images or more are the same as training images, that threshold is 0. Then k is one more than there
    are of them, and only a number of near images that this does not explain is a sign (ours).

    Parameters
    ----------
    distances : Distances
        What a client tells.

    Returns
    -------
    Verdict or None
        None if the client holds out no image.
    """
    m = len(distances.held_out_nearest)
    if not m:
        return None
    usual, same = max(1, int(QUANTILE * (m + 1))), distances.held_out_nearest.count(0)
    rank = min(max(usual, same + 1), m)
    nearest, ratio = np.array(distances.nearest), np.array(distances.ratio)
    far = float(np.sort(distances.held_out_nearest)[rank - 1])
    high = float(np.sort(distances.held_out_ratio)[rank - 1])
    near = (nearest < far) & (ratio < high)
    return Verdict(
        near=near,
        expected=rank / (m + 1),
        p_value=float(betabinom.sf(near.sum() - 1, len(near), rank, m + 1 - rank)),
        copies=(nearest <= COPY * far) & (ratio <= COPY * high),
        authentic=nearest > np.array(distances.spacing),
        authentic_held_out=float(np.mean(np.array(distances.held_out_nearest) > distances.held_out_spacing)),
        blind=same >= usual,
    )


def summary(verdicts: Sequence[Verdict], *, same: bool) -> dict[str, float]:
    """Say of all clients together how many images are repeated.

    Parameters
    ----------
    verdicts : Sequence[Verdict]
        Of clients whose verdict is not blind.
    same : bool
        Whether all clients were shown the same images. Then an image is a copy if it is one of any client's.

    Returns
    -------
    dict[str, float]
        ``copied_share``; ``near_share`` and ``authentic_share``, means over clients; and for both what is to be
        expected of a model that memorises nothing, as ``_reference``. Nothing if there is none.
    """
    if not verdicts:
        return {}
    copies: Flags = np.array([one.copies for one in verdicts])
    if same:
        copies = np.any(copies, axis=0, keepdims=True)
    return {
        "copied_share": float(copies.mean()),
        "near_share": float(np.mean([one.near for one in verdicts])),
        "near_share_reference": float(np.mean([one.expected for one in verdicts])),
        "authentic_share": float(np.mean([one.authentic for one in verdicts])),
        "authentic_share_reference": float(np.mean([one.authentic_held_out for one in verdicts])),
    }

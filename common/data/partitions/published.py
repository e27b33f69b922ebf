"""FedDiffuse's partitions to the image, as its authors' code draws them (NIID-Bench's draws, Li et al. 2022).

They come from NumPy's legacy generator, whose numbers no release of NumPy changes, with one seed for all runs, on the
labels in the data set's order. So a run's `seed` has no part in them; but with `data.limit`, or where a random
`data.holdout` is held out, it draws before which images there are to be split. Where their draw would come to no
partition (all of a class's shares fall to clients that are full), ours draws again.
"""

from typing import Literal

import numpy as np

from fedphd.common.data.partitions.base import Indices
from fedphd.common.data.partitions.dealing import Shares, cut, until

Draw = Literal["seeded", "published"]  # by the run's seed, or as here
SEED = 2023  # theirs


def even(total: int, clients: int) -> list[Indices]:
    """Cut a permutation into parts, of which the first few have one image more."""
    return [np.sort(part) for part in np.array_split(_generator().permutation(total), clients)]


def label_skew(labels: Indices, num_classes: int, clients: int, alpha: float, min_samples: int) -> list[Indices]:
    """Spread each class by Dirichlet(alpha), again until each client has `min_samples` images.

    Parameters
    ----------
    labels : NDArray[int64]
        Class of each image, shape (N,). How many images each client gets depends on the classes' sizes alone.
    num_classes, clients, min_samples : int
        Number of classes, number of clients K, fewest images of a client.
    alpha : float
        Concentration.

    Returns
    -------
    list[NDArray[int64]]
        For each client the indices of its images, ascending.

    Raises
    ------
    SettingError
        If no draw of many gave each client enough.
    """
    rng = _generator()
    owners = until(
        lambda: _owners(labels, num_classes, clients, alpha, rng),
        lambda drawn: np.bincount(drawn, minlength=clients),
        min_samples,
        clients,
        alpha,
    )
    return [np.flatnonzero(owners == client) for client in range(clients)]


def quantity_skew(total: int, clients: int, alpha: float, min_samples: int) -> list[Indices]:
    """Cut a permutation by shares from Dirichlet(alpha), drawn again until the smallest is `min_samples` images.

    Raises
    ------
    SettingError
        If no draw of many gave each client enough.
    """
    rng = _generator()
    order = rng.permutation(total)
    shares = until(
        lambda: _normalised(rng.dirichlet(np.full(clients, alpha))),
        lambda drawn: drawn * total,
        min_samples,
        clients,
        alpha,
    )
    return [np.sort(part) for part in np.split(order, np.cumsum(cut(total, shares))[:-1])]


def _generator() -> np.random.RandomState:
    return np.random.RandomState(SEED)


def _normalised(shares: Shares) -> Shares | None:
    """Make shares add up to 1; None: they cannot, since a tiny alpha gave nobody any."""
    whole = shares.sum()
    return shares / whole if whole > 0 else None


def _owners(
    labels: Indices, num_classes: int, clients: int, alpha: float, rng: np.random.RandomState
) -> Indices | None:
    """Draw who holds each image, shape (N,); a client that already has N / K gets none of the next class."""
    owners = np.empty(len(labels), np.int64)
    held = np.zeros(clients, np.int64)
    for number in range(num_classes):
        members = np.flatnonzero(labels == number)
        rng.shuffle(members)
        open_shares = rng.dirichlet(np.full(clients, alpha)) * (held < len(labels) / clients)
        if len(members) == 0:
            continue
        shares = _normalised(open_shares)
        if shares is None:
            return None
        sizes = cut(len(members), shares)
        owners[members] = np.repeat(np.arange(clients), sizes)
        held += sizes
    return owners

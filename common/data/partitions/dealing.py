"""What schemes have in common: how many images a client gets is decided first, and which ones is drawn at random."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.partitions.base import Indices, Rng
from fedphd.common.errors import SettingError

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]
Drawn = TypeVar("Drawn")

MAX_TRIES = 10_000  # draws before min_samples is called out of reach; two seconds at 10 classes


def deal(indices: Indices, sizes: Counts, rng: Rng) -> list[Indices]:
    """Shuffle `indices` and cut them into parts of the given sizes."""
    return [np.sort(part) for part in np.split(rng.permutation(indices), np.cumsum(sizes)[:-1])]


def deal_classes(labels: Indices, counts: Counts, rng: Rng) -> list[Indices]:
    """Deal each class by its column of `counts`, shape (clients, num_classes)."""
    dealt = [deal(np.flatnonzero(labels == number), sizes, rng) for number, sizes in enumerate(counts.T)]
    return [np.sort(np.concatenate(parts)) for parts in zip(*dealt, strict=True)]


def equal(total: int, parts: int) -> Counts:
    """Split `total` into sizes that differ by at most one."""
    return np.diff(np.arange(parts + 1) * total // parts)


def cut(total: int, shares: Shares) -> Counts:
    """Round `total * shares` to whole numbers that add up to `total`."""
    inner = (np.cumsum(shares) * total).astype(np.int64)[:-1]
    return np.diff(inner, prepend=0, append=total)


def until(
    draw: Callable[[], Drawn | None],
    sizes: Callable[[Drawn], Counts | Shares],
    min_samples: int,
    clients: int,
    alpha: float,
) -> Drawn:
    """Draw again and again until each client has `min_samples` images.

    Parameters
    ----------
    draw : Callable[[], Drawn or None]
        Draws what decides who gets what; None: no sound draw.
    sizes : Callable[[Drawn], NDArray]
        Says how many images each client has by a draw, shape (clients,).
    min_samples, clients, alpha : int, int, float
        The options, for the error.

    Raises
    ------
    SettingError
        If no draw of many did.
    """
    for _ in range(MAX_TRIES):
        drawn = draw()
        if drawn is not None and sizes(drawn).min() >= min_samples:
            return drawn
    raise SettingError(
        "partition.min_samples",
        min_samples,
        f"no draw of {MAX_TRIES} gave each of {clients} clients so many images at partition.alpha={alpha}; "
        "use a smaller min_samples, fewer clients, or a larger alpha",
    )

"""A client's own images: its part of the partition, or all that it has, read once per process."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedphd.common.config import Config
from fedphd.common.data import DataSet, load
from fedphd.common.data.partitions import Partition, hold_out, partition


@dataclass(frozen=True)
class LocalData:
    """What a client trains on, and what it holds out.

    Attributes
    ----------
    images : NDArray[uint8]
        What it trains on, shape (n_k, C, H, W). Only these count in n_k, in histograms and in weights.
    classes : tuple[str, ...]
        Names of the classes.
    counts : NDArray[int64]
        How many training images there are of each class, shape (classes,).
    held_out : NDArray[uint8]
        What it never trains on (`partition.holdout`), shape (m, C, H, W).
    """

    images: NDArray[np.uint8]
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    held_out: NDArray[np.uint8]


def local_data(config: Config, index: int) -> LocalData:
    """Read part `index` of the partition; of `partition=own`, all images of the client's path."""
    return _read(config.data, config.partition, config.topology.clients, config.seed, index)


@lru_cache(maxsize=64)
def _read(data: DataSet, scheme: Partition, clients: int, seed: int, index: int) -> LocalData:
    images = load(data, "train", seed)
    classes = images.class_names
    if scheme.splits:
        own = partition(images.labels, len(classes), scheme, clients, seed)[index]
    else:
        own = np.arange(len(images.labels))
    train, held_out = (own[places] for places in hold_out(len(own), scheme.holdout, seed, index))
    counts = np.bincount(images.labels[train], minlength=len(classes))
    return LocalData(images.images(train), classes, counts, images.images(held_out))

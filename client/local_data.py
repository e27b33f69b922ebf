"""A client's own images: its part of the partition, or all that it has, read once per process."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedphd.common.config import Config
from fedphd.common.data import DataSet, load
from fedphd.common.data.partitions import Partition, partition


@dataclass(frozen=True)
class LocalData:
    """Images (n, C, H, W) uint8, their class numbers (n,), and how many there are of each class (classes,)."""

    images: NDArray[np.uint8]
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    labels: NDArray[np.int64]


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
    labels = images.labels[own]
    return LocalData(images.images(own), classes, np.bincount(labels, minlength=len(classes)), labels)

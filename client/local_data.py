"""A client's own images: its part of the partition, read once per process."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from common.config import Config, DataConfig, PartitionConfig
from common.data import load
from common.partition import partition
from common.seeding import numpy_rng


@dataclass(frozen=True)
class LocalData:
    """Images (n, C, H, W) uint8, and how many there are of each class (classes,)."""

    images: NDArray[np.uint8]
    classes: tuple[str, ...]
    counts: NDArray[np.int64]


def local_data(config: Config, index: int) -> LocalData:
    """Read part `index` of the partition."""
    return _read(config.data, config.partition, config.topology.clients, config.seed, index)


def reported_counts(config: Config, index: int) -> list[float]:
    """Tell the label counts, with Laplace noise where `privacy.histogram_epsilon` asks for it.

    One image more or less changes one count by one, so noise of scale 1/epsilon makes the histogram
    epsilon-differentially private (Dwork et al. 2006); negative results are cut to zero.
    """
    counts = local_data(config, index).counts.astype(float)
    epsilon = config.privacy.histogram_epsilon
    if epsilon is not None:
        counts += numpy_rng(config.seed, "histogram", index).laplace(scale=1 / epsilon, size=len(counts))
    return np.maximum(counts, 0.0).tolist()  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _read(data: DataConfig, scheme: PartitionConfig, clients: int, seed: int, index: int) -> LocalData:
    images = load(data, "train", seed)
    classes = images.class_names
    own = partition(images.labels, len(classes), scheme, clients, seed)[index]
    return LocalData(images.images(own), classes, np.bincount(images.labels[own], minlength=len(classes)))

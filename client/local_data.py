"""A client's own images: its part of the partition, or all that it has, listed once per process and decoded once."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedphd.common.config import Config
from fedphd.common.data import DataSet, ImageSet, load
from fedphd.common.data.cache import keep, name_of_part
from fedphd.common.data.images import Indices, Pixels
from fedphd.common.data.partitions import Partition, hold_out, partition


@dataclass(frozen=True, eq=False)
class LocalImages:
    """Some of a client's images.

    Attributes
    ----------
    found : ImageSet
        They, as they are found.
    cache : Path or None
        Where they are kept once they are decoded.
    name : str
        What the cache knows them by.
    """

    found: ImageSet
    cache: Path | None
    name: str

    @property
    def labels(self) -> Indices:
        """Class number of each, shape (n,)."""
        return self.found.labels

    @cached_property
    def pixels(self) -> Pixels:
        """All of them, shape (n, C, H, W), to be read only: mapped from the cache, or else in memory.

        Raises
        ------
        SettingError
            If one cannot be read.
        """
        return keep(self.found, self.cache, self.name).whole()


@dataclass(frozen=True, eq=False)
class LocalData:
    """What a client trains on, and what it holds out.

    Attributes
    ----------
    train : LocalImages
        What it trains on. Only these count in n_k, in histograms and in weights.
    held_out : LocalImages
        What it never trains on (`partition.holdout`).
    """

    train: LocalImages
    held_out: LocalImages

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.train.found.class_names

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many training images there are of each class, shape (classes,); nothing is decoded for that."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @property
    def labels(self) -> Indices:
        """Class number of each training image, shape (n_k,)."""
        return self.train.labels

    @property
    def images(self) -> Pixels:
        """The training images, shape (n_k, C, H, W), as `LocalImages.pixels`."""
        return self.train.pixels


def local_data(config: Config, index: int) -> LocalData:
    """Find part `index` of the partition; of `partition=own`, all images of the client's path."""
    return _find(config.data, config.partition, config.topology.clients, config.seed, index)


@lru_cache(maxsize=64)
def _find(data: DataSet, scheme: Partition, clients: int, seed: int, index: int) -> LocalData:
    images = load(data, "train", seed)
    if scheme.splits:
        own = partition(images.labels, len(images.class_names), scheme, clients, seed)[index]
    else:
        own = np.arange(len(images.labels))
    name = name_of_part(data, scheme, clients, seed, index)
    train, held_out = (images.subset(own[places]) for places in hold_out(len(own), scheme.holdout, seed, index))
    cache = data.kept_at
    return LocalData(LocalImages(train, cache, name), LocalImages(held_out, cache, f"{name}_held_out"))

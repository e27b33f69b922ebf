"""A client's own images: its part of the partition, or all that it has, listed once per process and decoded once."""

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedphd.common.config import Config
from fedphd.common.data import DataSet, ImageSet, load
from fedphd.common.data.cache import keep
from fedphd.common.data.partitions import Partition, partition


@dataclass(frozen=True, eq=False)
class LocalData:
    """The images of one client.

    Attributes
    ----------
    own : ImageSet
        They, as they are found.
    cache : Path or None
        Where they are kept once they are decoded.
    name : str
        What says which they are, for the cache.
    """

    own: ImageSet
    cache: Path | None
    name: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.own.class_names

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many images there are of each class, shape (classes,); nothing is decoded for that."""
        return np.bincount(self.own.labels, minlength=len(self.classes))

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """The images, shape (n, C, H, W), to be read only: mapped from the cache, or else in memory.

        Raises
        ------
        SettingError
            If one cannot be read.
        """
        return keep(self.own, self.cache, self.name).whole()


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
    which = [data.model_dump(mode="json", exclude={"cache"}), scheme.model_dump(mode="json"), clients, seed, index]
    return LocalData(images.subset(own), data.kept_at, json.dumps(which))

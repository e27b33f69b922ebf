"""Loading the images that the configuration names."""

from functools import lru_cache
from typing import Literal

import numpy as np

from fedphd.common.config import DataConfig
from fedphd.common.data.images import ImageSet
from fedphd.common.data.own import folder, npz
from fedphd.common.data.public import cifar10, digits, fashion_mnist
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng

Split = Literal["train", "holdout"]


@lru_cache(maxsize=4)
def load(config: DataConfig, split: Split, seed: int) -> ImageSet:
    """Load a split of the configured images, once per process.

    Parameters
    ----------
    config : DataConfig
        `limit` takes so many random images of the training split; a larger limit keeps those that
        a smaller one had.
    split : {"train", "holdout"}
        The images to train on, or those held out for evaluation.
    seed : int
        The run's seed, for `limit` and for a random holdout.

    Returns
    -------
    ImageSet
        A pure function of the arguments and the files. The same object for the same arguments.

    Raises
    ------
    SettingError
        If the images are missing, broken, or fewer than `limit`.
    """
    train = split == "train"
    found = _read(config, train, seed)
    if not train or config.limit is None:
        return found
    if config.limit > len(found):
        raise SettingError(
            "data.limit",
            config.limit,
            f"there are {len(found)} training images; use at most {len(found)}, or null for all",
        )
    chosen = numpy_rng(seed, "data", "limit").permutation(len(found))[: config.limit]
    return found.subset(np.sort(chosen))


def _read(config: DataConfig, train: bool, seed: int) -> ImageSet:
    match config.kind:
        case "digits":
            return digits(train)
        case "fashion_mnist":
            return fashion_mnist(config, train)
        case "cifar10":
            return cifar10(config, train)
        case "npz":
            return npz(config, train, seed)
        case "folder":
            return folder(config, train, seed)

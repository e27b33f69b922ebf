"""Loading the images that the configuration names."""

from functools import lru_cache

import numpy as np

from fedphd.common.data.class_list import fault_of
from fedphd.common.data.data_set import DataSet
from fedphd.common.data.images import ImageSet, Split
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng


@lru_cache(maxsize=4)
def load(data: DataSet, split: Split, seed: int) -> ImageSet:
    """Load a split of the configured images, once per process.

    Parameters
    ----------
    data : DataSet
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
        If the images are missing, broken, or fewer than `limit`, or there are too many classes or ones that cannot be
        told to others.
    """
    found = data.read(split, seed)
    if fault := fault_of(found.class_names):
        advice = "are these captions? give each class a short name, or no labels at all"
        raise SettingError("data", data.kind, f"{fault}; {advice}")
    if split == "holdout" or data.limit is None:
        return found
    if data.limit > len(found):
        raise SettingError(
            "data.limit",
            data.limit,
            f"there are {len(found)} training images; use at most {len(found)}, or null for all",
        )
    chosen = numpy_rng(seed, "data", "limit").permutation(len(found))[: data.limit]
    return found.subset(np.sort(chosen))

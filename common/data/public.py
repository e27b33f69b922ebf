"""The public sets that scikit-learn and torchvision read."""

from typing import Any

import numpy as np

from fedphd.common.config import DataConfig
from fedphd.common.data.images import ArrayImages
from fedphd.common.errors import SettingError

DIGITS_TRAIN = 1500  # the file goes by writer, so that the rest is by other hands than most of these


def digits(train: bool) -> ArrayImages:
    """Read scikit-learn's handwritten digits, 8x8 grey: the first 1500 to train, the last 297 held out."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  (a second to import)

    bunch = load_digits()
    chosen = slice(DIGITS_TRAIN) if train else slice(DIGITS_TRAIN, None)
    pixels = np.rint(bunch.images[chosen, None] * 255 / 16).astype(np.uint8)  # stored as 0 to 16
    return ArrayImages(bunch.target[chosen].astype(np.int64), tuple(map(str, range(10))), (1, 8, 8), pixels)


def fashion_mnist(config: DataConfig, train: bool) -> ArrayImages:
    """Read Fashion-MNIST, 28x28 grey.

    Raises
    ------
    SettingError
        If `data.root` does not hold it, or it cannot be downloaded.
    """
    from torchvision.datasets import FashionMNIST  # noqa: PLC0415  (imports torch)

    found = _open(FashionMNIST, config, train, "FashionMNIST/raw with the four unzipped idx files")
    pixels = found.data.numpy()[:, None]
    return ArrayImages(found.targets.numpy().astype(np.int64), tuple(found.classes), pixels.shape[1:], pixels)


def cifar10(config: DataConfig, train: bool) -> ArrayImages:
    """Read CIFAR-10, 32x32 colour.

    Raises
    ------
    SettingError
        If `data.root` does not hold it, or it cannot be downloaded.
    """
    from torchvision.datasets import CIFAR10  # noqa: PLC0415  (imports torch)

    found = _open(CIFAR10, config, train, "cifar-10-batches-py with its original files")
    pixels = np.ascontiguousarray(np.moveaxis(found.data, 3, 1))
    return ArrayImages(np.asarray(found.targets, np.int64), tuple(found.classes), (3, 32, 32), pixels)


def _open(dataset: Any, config: DataConfig, train: bool, needed: str) -> Any:
    """Open a torchvision set; the ways in which its files can be broken end in one kind of error."""
    try:
        return dataset(str(config.root), train=train, download=config.download)
    except (RuntimeError, OSError, ValueError, TypeError, AssertionError, KeyError) as error:
        cause = str(error).split("\n")[0].split(". ")[0] or "a file of it is damaged"
        raise SettingError(
            "data.root",
            config.root,
            f"must hold {needed} ({cause.rstrip('.')}); give their folder, or set data.download=true",
        ) from None

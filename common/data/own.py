"""The user's own images: a NumPy archive, or a folder of image files."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedphd.common.config import DataConfig
from fedphd.common.data.images import ArrayImages, FolderImages, Indices
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng

MAX_CLASSES = 10_000  # labels above are taken for something else than class numbers


def npz(config: DataConfig, train: bool, seed: int) -> ArrayImages:
    """Read a NumPy archive of images and class numbers.

    `train_x` has shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8; `train_y` (N,), integers from
    0. The held-out images are `test_x` and `test_y` where the file has them; else a share
    `data.holdout` of the training images, drawn by `seed`. Nothing is unpickled.

    Raises
    ------
    SettingError
        If the file cannot be read, lacks an array, or an array has a wrong type or shape.
    """
    path = _given(config)
    try:
        opened = np.load(path, allow_pickle=False)
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise _bad(path, "is one array; needs an .npz archive with train_x and train_y")
        with opened as archive:
            own_test = "test_x" in archive or "test_y" in archive
            labels = {part: _labels(path, archive, part) for part in (["train", "test"] if own_test else ["train"])}
            part = "test" if own_test and not train else "train"
            pixels = _pixels(path, archive, part, len(labels[part]))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _bad(path, f"cannot be read as a NumPy archive ({error})") from None
    classes = 1 + max(int(numbers.max()) for numbers in labels.values())
    channels, height, width = pixels.shape[1:]
    found = ArrayImages(labels[part], tuple(map(str, range(classes))), (channels, height, width), pixels)
    return found if own_test else found.subset(_share(config, len(found), train, seed))


def folder(config: DataConfig, train: bool, seed: int) -> FolderImages:
    """List a folder with one subfolder of image files for each class, as torchvision's ImageFolder.

    A share `data.holdout` of the images, drawn by `seed`, is held out.

    Raises
    ------
    SettingError
        If the folder has no subfolders, or one of them holds no image without `data.empty_classes`.
    """
    from torchvision.datasets import ImageFolder  # noqa: PLC0415  (imports torch)

    path = _given(config)
    try:
        found = ImageFolder(str(path), allow_empty=config.empty_classes)
    except OSError as error:
        cause = str(error).split("\n")[0].rstrip(".")
        raise _bad(path, f"needs one subfolder for each class, each with images in it ({cause})") from None
    if config.size is None:
        raise SettingError("data.size", None, "give the side in pixels to which images are resized")
    images = FolderImages(
        np.asarray(found.targets, np.int64),
        tuple(found.classes),
        (3, config.size, config.size),
        np.asarray([file for file, _ in found.samples]),
    )
    return images.subset(_share(config, len(images), train, seed))


def _given(config: DataConfig) -> Path:
    if config.path is None:
        raise SettingError("data.path", None, f"data={config.kind} needs the path of its images")
    return config.path


def _bad(path: Path, advice: str) -> SettingError:
    return SettingError("data.path", path, advice)


def _labels(path: Path, archive: "np.lib.npyio.NpzFile", part: str) -> NDArray[np.int64]:
    """Read and check one part's class numbers."""
    for name in (f"{part}_x", f"{part}_y"):
        if name not in archive:
            raise _bad(path, f"lacks {name}; it has {', '.join(archive.files[:6]) or 'nothing'}")
    labels = archive[f"{part}_y"]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise _bad(path, f"{part}_y is {labels.dtype} of shape {labels.shape}; must be integers of shape (N,)")
    if len(labels) == 0:
        raise _bad(path, f"{part}_y is empty; give at least one image")
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise _bad(
            path,
            f"{part}_y runs from {labels.min()} to {labels.max()}; must be class numbers 0, 1, 2, ... "
            f"below {MAX_CLASSES}",
        )
    return labels.astype(np.int64)


def _pixels(path: Path, archive: "np.lib.npyio.NpzFile", part: str, expected: int) -> NDArray[np.uint8]:
    """Read and check one part's images as (N, C, H, W)."""
    pixels = archive[f"{part}_x"]
    if pixels.dtype != np.uint8:
        raise _bad(path, f"{part}_x is {pixels.dtype}; must be uint8, values 0 to 255")
    whole = pixels[..., None] if pixels.ndim == 3 else pixels
    if whole.ndim != 4 or whole.shape[3] not in (1, 3) or 0 in whole.shape[1:]:
        raise _bad(path, f"{part}_x has shape {pixels.shape}; must be (N, H, W) or (N, H, W, C) with 1 or 3 channels C")
    if len(whole) != expected:
        raise _bad(path, f"{part}_x has {len(whole)} images, {part}_y {expected} labels; must be as many")
    return np.ascontiguousarray(np.moveaxis(whole, 3, 1))


def _share(config: DataConfig, available: int, train: bool, seed: int) -> Indices:
    """Draw which images are held out, and give those of the split, in file order."""
    held_out = round(available * config.holdout)
    if train and held_out == available:
        raise SettingError(
            "data.holdout", config.holdout, f"leaves no image to train on of {available}; use a smaller share"
        )
    if not train and held_out == 0:
        raise SettingError("data.holdout", config.holdout, f"holds out no image of {available}; use a larger share")
    order = numpy_rng(seed, "data", "holdout").permutation(available)
    return np.sort(order[held_out:] if train else order[:held_out])

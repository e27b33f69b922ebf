"""A NumPy archive of images and class numbers."""

import zipfile
import zlib
from typing import ClassVar

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from fedphd.common.data.data_set import DATA_SETS
from fedphd.common.data.file_set import FileSet
from fedphd.common.data.images import ArrayImages, Split

MAX_CLASSES = 10_000  # labels above are taken for something else than class numbers


@DATA_SETS.register("npz")
class Npz(FileSet):
    """An archive with `train_x` of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8, and `train_y` (N,), from 0.

    The held-out images are `test_x` and `test_y` where the file has them; otherwise a share `holdout` of the training
    images, drawn by `seed`. Nothing is unpickled.
    """

    suffix: ClassVar[str] = ".npz"

    def read(self, split: Split, seed: int) -> ArrayImages:
        """Read the archive.

        Raises
        ------
        SettingError
            If the file cannot be read, lacks an array, or an array has a wrong type or shape.
        """
        try:
            opened = np.load(self.path, allow_pickle=False)
            if not isinstance(opened, NpzFile):
                raise self.unusable("is one array; needs an .npz archive with train_x and train_y")
            with opened as archive:
                own_test = "test_x" in archive or "test_y" in archive
                labels = {part: self._labels(archive, part) for part in (["train", "test"] if own_test else ["train"])}
                part = "test" if own_test and split == "holdout" else "train"
                pixels = self._pixels(archive, part, len(labels[part]))
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise self.unusable(f"cannot be read as a NumPy archive ({error})") from None
        classes = 1 + max(int(numbers.max()) for numbers in labels.values())
        channels, height, width = pixels.shape[1:]
        found = ArrayImages(labels[part], tuple(map(str, range(classes))), (channels, height, width), pixels)
        return found if own_test else found.subset(self.share(len(found), split, seed))

    def _labels(self, archive: NpzFile, part: str) -> NDArray[np.int64]:
        """Read and check one part's class numbers."""
        for name in (f"{part}_x", f"{part}_y"):
            if name not in archive:
                raise self.unusable(f"lacks {name}; it has {', '.join(archive.files[:6]) or 'nothing'}")
        labels = archive[f"{part}_y"]
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            advice = f"{part}_y is {labels.dtype} of shape {labels.shape}; must be integers of shape (N,)"
            raise self.unusable(advice)
        if len(labels) == 0:
            raise self.unusable(f"{part}_y is empty; give at least one image")
        if labels.min() < 0 or labels.max() >= MAX_CLASSES:
            run = f"{part}_y runs from {labels.min()} to {labels.max()}"
            raise self.unusable(f"{run}; must be class numbers 0, 1, 2, ... below {MAX_CLASSES}")
        return labels.astype(np.int64)

    def _pixels(self, archive: NpzFile, part: str, expected: int) -> NDArray[np.uint8]:
        """Read and check one part's images as (N, C, H, W)."""
        pixels = archive[f"{part}_x"]
        if pixels.dtype != np.uint8:
            raise self.unusable(f"{part}_x is {pixels.dtype}; must be uint8, values 0 to 255")
        whole = pixels[..., None] if pixels.ndim == 3 else pixels
        if whole.ndim != 4 or whole.shape[3] not in (1, 3) or 0 in whole.shape[1:]:
            advice = "must be (N, H, W) or (N, H, W, C) with 1 or 3 channels C"
            raise self.unusable(f"{part}_x has shape {pixels.shape}; {advice}")
        if len(whole) != expected:
            raise self.unusable(f"{part}_x has {len(whole)} images, {part}_y {expected} labels; must be as many")
        return np.ascontiguousarray(np.moveaxis(whole, 3, 1))

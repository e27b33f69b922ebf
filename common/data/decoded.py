"""Sets of images that stay encoded where they are, and are decoded when asked for."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.decoding.colour import flatten
from fedphd.common.data.decoding.depth import AN_IMAGE, Depth
from fedphd.common.data.decoding.facts import Decoding
from fedphd.common.data.decoding.fit import Fit
from fedphd.common.data.decoding.pictures import GAP, as_bytes, load_picture, open_picture
from fedphd.common.data.decoding.quiet import quiet
from fedphd.common.data.decoding.words import cause, some
from fedphd.common.data.images import ImageSet, Indices, Pixels
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCK = 1_000  # images that are asked for at once

Failures = dict[str, str]  # why an image cannot be read, by its name


@dataclass(frozen=True, eq=False)
class DecodedImages(ImageSet):
    """Images of which each call of `images` decodes those asked for: grey if `shape` has one channel, else RGB.

    Attributes
    ----------
    sources : NDArray
        What each image is decoded from, such as a path, shape (N,).
    setting : str
        The setting that says where they are, for errors.
    crop : int or None
        Side in pixels of the middle that is cut out before the resize; None: nothing is.
    decoding : Decoding
        How depth and colours become pixels.
    """

    sources: NDArray[Any]
    setting: str
    crop: int | None = field(default=None, kw_only=True)
    decoding: Decoding = field(default=Decoding(), kw_only=True)

    @abstractmethod
    def open(self, source: Any) -> Image:
        """Open one image; any error that Pillow, the operating system or a value can raise may come of it."""

    @abstractmethod
    def stamp(self, source: Any) -> str:
        """Give what changes whenever the content of a source may have changed: a file's path, size and time, say.

        Raises
        ------
        OSError
            If there is no such source.
        """

    @property
    def recipe(self) -> str:
        """All but the source that decides an image's pixels, as JSON; what is decoded is kept by it."""
        return json.dumps({"shape": self.shape, "crop": self.crop, "decoding": asdict(self.decoding), "gap": GAP})

    @property
    def depth(self) -> Depth:
        """The ranges by which values of more than 8 bits are scaled."""
        return self.decoding.depth

    def named(self, source: Any) -> object:
        """Name a source in an error."""
        return source

    def images(self, indices: Indices | None = None) -> Pixels:
        """Decode the images at `indices`, or all: shorter side resized, middle cut out.

        Raises
        ------
        SettingError
            If some cannot be decoded: it names the first, and says how many more there are.
        """
        chosen = self.sources if indices is None else self.sources[indices]
        decoded, fit = np.empty((len(chosen), *self.shape), np.uint8), Fit(self.shape[1], self.crop)
        failures: Failures = {}
        with quiet():
            for target, source in zip(decoded, chosen, strict=True):
                self._try(source, fit, failures, target)
        if failures:
            raise self.unreadable(failures)
        return decoded

    def check(self) -> None:
        """Decode each image once, on all cores, and keep none.

        Raises
        ------
        SettingError
            As `images`.
        """
        fit, failures = Fit(self.shape[1], self.crop), dict[str, str]()
        with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(self), BLOCK):
                block = self.sources[start : start + BLOCK]
                for _ in pool.map(lambda source: self._try(source, fit, failures), block):
                    pass
        if failures:
            raise self.unreadable(dict(sorted(failures.items())))

    def _try(self, source: Any, fit: Fit, failures: Failures, target: Pixels | None = None) -> None:
        """Decode one image into `target`, or note why it cannot be done."""
        try:
            pixels = self._decode(source, fit)
        except SettingError as error:  # which was raised without the name
            advice = error.advice.replace(AN_IMAGE, str(self.named(source)), 1)
            raise SettingError(error.key, error.value, advice) from None
        except Exception as error:  # a file can make its decoder raise anything
            failures[str(self.named(source))] = cause(error)
        else:
            if target is not None:
                target[...] = pixels

    def _decode(self, source: Any, fit: Fit) -> Pixels:
        """Decode one image, shape (C, H, W)."""
        channels, height, width = self.shape
        with self.open(source) as image:
            load_picture(image, fit.draft)
            flat = flatten(as_bytes(image, self.decoding.depth), channels, self.decoding.background)
        return np.moveaxis(np.asarray(fit(flat)).reshape(height, width, channels), 2, 0)

    def unreadable(self, failures: Failures) -> SettingError:
        """Make the error that says which images cannot be read, by their names, and why."""
        (first, why), *others = failures.items()
        these, rest = "this image", ""
        if others:
            these, rest = (
                "these images",
                f"; nor can {len(others)} more ({some(Path(name).name for name, _ in others)})",
            )
        return SettingError(self.setting, first, f"cannot be read ({why}){rest}; mend or remove {these}")

    def subset(self, indices: Indices) -> Self:
        """List the sources at `indices` in a set of their own."""
        return replace(self, labels=self.labels[indices], sources=self.sources[indices])


@dataclass(frozen=True, eq=False)
class FileImages(DecodedImages):
    """Images in files: `sources` are their paths."""

    def open(self, source: Any) -> Image:
        """Open a file."""
        return open_picture(source)

    def stamp(self, source: Any) -> str:
        """Give a file's path, size and time of its last change."""
        return file_stamp(source)


def file_stamp(path: str | Path) -> str:
    """Give a file's path, size in bytes and time of its last change in nanoseconds.

    Raises
    ------
    OSError
        If there is no such file.
    """
    found = Path(path).stat()
    return f"{path}|{found.st_size}|{found.st_mtime_ns}"

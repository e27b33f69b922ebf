"""Sets of images that stay encoded where they are, and are decoded when asked for."""

from __future__ import annotations

import json
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.decoding.colour import flatten
from fedphd.common.data.decoding.facts import Decoding
from fedphd.common.data.decoding.fit import Fit
from fedphd.common.data.decoding.pictures import GAP, as_bytes, load_picture, open_picture
from fedphd.common.data.decoding.words import cause, some
from fedphd.common.data.images import ImageSet, Indices, Pixels
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from PIL.Image import Image


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
        decoded = np.empty((len(chosen), *self.shape), np.uint8)
        for target, pixels in zip(decoded, self._each(chosen), strict=True):
            target[...] = pixels
        return decoded

    def check(self) -> None:
        """Decode each image once, and keep none.

        Raises
        ------
        SettingError
            As `images`.
        """
        for _ in self._each(self.sources):
            pass

    def _each(self, sources: Iterable[Any]) -> Iterator[Pixels]:
        """Decode one after the other, all that can be decoded."""
        failures: list[tuple[Any, Exception]] = []
        fit = Fit(self.shape[1], self.crop)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of Pillow's, on tags and on large images, which it does read
            for source in sources:
                try:
                    pixels = self._decode(source, fit)
                except SettingError:
                    raise
                except Exception as error:  # a file can make its decoder raise anything
                    failures.append((source, error))
                else:
                    yield pixels
        if failures:
            raise self.unreadable({str(self.named(source)): cause(error) for source, error in failures})

    def _decode(self, source: Any, fit: Fit) -> Pixels:
        """Decode one image, shape (C, H, W)."""
        channels, height, width = self.shape
        with self.open(source) as image:
            load_picture(image, fit.draft)
            flat = flatten(as_bytes(image, self.decoding.depth), channels, self.decoding.background)
        return np.moveaxis(np.asarray(fit(flat)).reshape(height, width, channels), 2, 0)

    def unreadable(self, failures: Mapping[str, str]) -> SettingError:
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

"""Sets of images that stay encoded where they are, and are decoded when asked for."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

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
    """

    sources: NDArray[Any]
    setting: str
    crop: int | None = field(default=None, kw_only=True)

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
        return json.dumps({"shape": self.shape, "crop": self.crop})

    def named(self, source: Any) -> object:
        """Name a source in an error."""
        return source

    def images(self, indices: Indices | None = None) -> Pixels:
        """Decode the images at `indices`, or all: shorter side resized, middle cut out.

        Raises
        ------
        SettingError
            If one cannot be decoded.
        """
        from PIL.Image import DecompressionBombError  # noqa: PLC0415  (only where images are decoded, as torchvision)
        from torchvision.transforms import CenterCrop, Compose, Resize  # noqa: PLC0415

        channels, side, _ = self.shape
        first = [] if self.crop is None else [CenterCrop(self.crop)]
        fit = Compose([*first, Resize(side), CenterCrop(side)])
        chosen = self.sources if indices is None else self.sources[indices]
        decoded = np.empty((len(chosen), *self.shape), np.uint8)
        for target, source in zip(decoded, chosen, strict=True):
            try:
                with self.open(source) as image:
                    pixels = np.asarray(fit(image.convert("RGB" if channels == 3 else "L")))
            except (OSError, SyntaxError, ValueError, DecompressionBombError) as error:
                advice = f"cannot be read ({error}); mend or remove this image"
                raise SettingError(self.setting, self.named(source), advice) from None
            target[...] = np.moveaxis(pixels.reshape(side, side, channels), 2, 0)
        return decoded

    def subset(self, indices: Indices) -> Self:
        """List the sources at `indices` in a set of their own."""
        return replace(self, labels=self.labels[indices], sources=self.sources[indices])


@dataclass(frozen=True, eq=False)
class FileImages(DecodedImages):
    """Images in files: `sources` are their paths."""

    def open(self, source: Any) -> Image:
        """Open a file."""
        from PIL import Image  # noqa: PLC0415

        return Image.open(source)

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

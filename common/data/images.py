"""A set of labelled images, as all data sets give it, and one that is held in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.decoding.depth import NO_RANGE, Depth
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config import ModelConfig  # a configuration holds a data set

Split = Literal["train", "holdout"]
Pixels = NDArray[np.uint8]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageSet(ABC):
    """Images of one shape, each of one class.

    Attributes
    ----------
    labels : NDArray[int64]
        Class number of each image, shape (N,), read-only.
    class_names : tuple[str, ...]
        Name of each class.
    shape : tuple[int, int, int]
        (C, H, W) of every image.
    notes : tuple[str, ...]
        One line each on what was left out or changed when the images were read.
    any_channels : bool
        Whether `data.channels` makes them grey or colour; of the class.
    """

    any_channels: ClassVar[bool] = False

    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        # A set is shared by all who load it in one process.
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def images(self, indices: Indices | None = None) -> Pixels:
        """Give the images at `indices`, or all, as an array of the caller's own.

        Returns
        -------
        NDArray[uint8]
            Shape (n, C, H, W), values 0 to 255, in the order of `indices`.

        Raises
        ------
        SettingError
            If a file that holds one of them cannot be decoded.
        """

    @property
    def depth(self) -> Depth:
        """The ranges by which values of more than 8 bits were scaled; none, if there are no such values."""
        return NO_RANGE

    def whole(self) -> Pixels:
        """Give all images, shape (N, C, H, W), to be read only; without a copy, where they are at hand."""
        return self.images()

    def check(self) -> None:  # noqa: B027  (what is held in memory needs no look)
        """Find out whether all images can be read; those that are at hand can.

        Raises
        ------
        SettingError
            If not.
        """

    @abstractmethod
    def subset(self, indices: Indices) -> Self:
        """Make the set of the images at `indices`, in that order, with the same classes and notes."""


@dataclass(frozen=True, eq=False)
class ArrayImages(ImageSet):
    """Images in memory: `pixels` has shape (N, C, H, W)."""

    pixels: Pixels

    def images(self, indices: Indices | None = None) -> Pixels:
        """Copy the images at `indices`, or all."""
        return self.pixels.copy() if indices is None else self.pixels[indices]

    def whole(self) -> Pixels:
        """Give all images."""
        return self.pixels

    def subset(self, indices: Indices) -> Self:
        """Copy the images at `indices` to a set of their own."""
        return replace(self, labels=self.labels[indices], pixels=self.pixels[indices])


def check_fits(images: ImageSet, model: ModelConfig) -> None:
    """Check that a U-Net, or the autoencoder in whose latent space it works, takes images of this shape.

    Raises
    ------
    SettingError
        If the U-Net's `in_channels` and `sample_size`, or the autoencoder's `image_channels` and
        `image_size`, are not the images' (C, H, W).
    """
    if model.autoencoder is None:
        names = ("model.unet.in_channels", "model.unet.sample_size")
        taken, side = model.unet.get("in_channels"), model.unet.get("sample_size")
    else:
        names = ("model.autoencoder.image_channels", "model.autoencoder.image_size")
        taken, side = model.autoencoder.image_channels, model.autoencoder.image_size
    expected = (taken, side, side)
    if expected == images.shape:
        return
    channels, height, width = images.shape
    advice = f"use a model with {names[0]}={channels} and {names[1]}={height}, or other data"
    if images.any_channels and channels != taken and taken in (1, 3):
        advice += f", or data.channels={taken}"
    if height != width:
        advice = "U-Nets take square images only: crop or pad them first"
    shapes = f"expects {_by(expected)} (CxHxW), the images are {_by(images.shape)}"
    raise SettingError("model", model.name, f"{shapes}; {advice}")


def _by(shape: Sequence[object]) -> str:
    return "x".join(map(str, shape))

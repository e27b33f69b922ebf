"""Drawing images from a U-Net, from the same noise every time."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedphd.common.config import Config, ModelConfig
from fedphd.common.data.images import Indices, Pixels
from fedphd.common.data.proportion import in_proportion
from fedphd.common.network import UNet
from fedphd.common.network.autoencoder import Autoencoder, autoencoder_of
from fedphd.common.network.networks import image_shape
from fedphd.common.training.compute import threads, to_device
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.seeding import derive_seed, numpy_rng

EVALUATION = ("evaluation",)

Stream = Sequence[str | int]


@dataclass(frozen=True)
class Sampler:
    """The situation of a drawing: how, where and from which noise images are drawn.

    Attributes
    ----------
    reverse : ReverseProcess
        From noise to images.
    seed : int
        The run's seed. An image's noise, that of the sampler's steps too, depends on it, on the stream and on the
        image's place in it alone, not on how many are drawn nor on the batches.
    batch_size : int
        Images that are drawn together.
    device : torch.device
        Where to compute.
    autoencoder : Autoencoder, optional
        That of the latents which the U-Net draws; None where it draws pixels.
    """

    reverse: ReverseProcess
    seed: int
    batch_size: int
    device: torch.device
    autoencoder: Autoencoder | None = None

    @classmethod
    def of(cls, config: Config, device: torch.device) -> Self:
        """Make the sampler that evaluations use.

        Raises
        ------
        SettingError
            If sampler or autoencoder cannot be as configured.
        """
        autoencoder = autoencoder_of(config.model, device)
        return cls(ReverseProcess.of(config), config.seed, config.evaluation.batch_size, device, autoencoder)

    def draw(
        self, unet: UNet, count: int, *, first: int = 0, stream: Stream = EVALUATION, labels: Indices | None = None
    ) -> Pixels:
        """Generate images.

        Parameters
        ----------
        unet : UNet
            Moved to the device; draws in evaluation mode.
        count : int
            n.
        first : int
            Place of the first image in the stream.
        stream : Sequence[str | int]
            Names the stream of random numbers.
        labels : NDArray[int64], optional
            The class to draw of each image, shape (n,), for a U-Net that takes labels; without, no class.

        Returns
        -------
        NDArray[uint8]
            Shape (n, C, H, W), values 0 to 255.
        """
        shape = image_shape(unet) if self.autoencoder is None else self.autoencoder.image_shape
        images = np.empty((count, *shape), np.uint8)
        with threads(os.cpu_count() or 1):  # the clients wait meanwhile
            for start, x_0 in self._batches(unet, range(first, first + count), stream, labels):
                drawn = x_0 if self.autoencoder is None else self.autoencoder.decode(x_0)
                images[start : start + len(drawn)] = _to_bytes(drawn)
        return images

    def draw_latents(
        self, unet: UNet, count: int, *, first: int = 0, stream: Stream = EVALUATION, labels: Indices | None = None
    ) -> NDArray[np.float32]:
        """Generate the latents that `draw` would decode, to train on them; parameters as there.

        Returns
        -------
        NDArray[float32]
            Shape (n, c, h, w).
        """
        latents = np.empty((count, *image_shape(unet)), np.float32)
        with threads(os.cpu_count() or 1):
            for start, x_0 in self._batches(unet, range(first, first + count), stream, labels):
                latents[start : start + len(x_0)] = x_0.float().cpu().numpy()
        return latents

    def _batches(
        self, unet: UNet, places: range, stream: Stream, labels: Indices | None
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield x_0 of the images at these places of the stream, batch by batch, each with its start among them."""
        shape = image_shape(unet)
        noise = numpy_rng(self.seed, *stream, "noise")
        for _ in range(places.start):
            noise.standard_normal(shape, np.float32)
        unet = to_device(unet, self.device)
        for start in range(places.start, places.stop, self.batch_size):
            size = min(self.batch_size, places.stop - start)
            epsilon = torch.from_numpy(noise.standard_normal((size, *shape), np.float32)).to(self.device)
            seeds = (derive_seed(self.seed, *stream, "sampler", place) for place in range(start, start + size))
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            at = start - places.start
            asked = None if labels is None else torch.from_numpy(labels[at : at + size]).to(self.device)
            yield at, self.reverse.sample(unet, epsilon, generators, asked)


def all_alike(model: ModelConfig, images: int) -> Indices | None:
    """Ask a model that is told classes for as many images of each, shape (n,); None for one that is told none."""
    classes = model.number_of_classes
    return None if classes is None else in_proportion([1] * classes, images)


def _to_bytes(images: Tensor) -> Pixels:
    """Map [-1, 1] to 0..255. What a diverged U-Net draws, not a number, becomes grey: it must show, not crash."""
    bytes_ = ((images.float().nan_to_num(0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: Pixels = bytes_.cpu().numpy()
    return pixels

"""Drawing images from a U-Net, from the same noise every time."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedphd.common.data.images import Pixels
from fedphd.common.network import UNet
from fedphd.common.network.autoencoder import Autoencoder
from fedphd.common.network.build import image_shape
from fedphd.common.training.compute import threads, to_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.seeding import derive_seed, numpy_rng

EVALUATION = ("evaluation",)


def draw(
    unet: UNet,
    diffusion: Diffusion,
    count: int,
    *,
    seed: int,
    batch_size: int,
    device: torch.device,
    autoencoder: Autoencoder | None = None,
    first: int = 0,
    stream: Sequence[str | int] = EVALUATION,
) -> Pixels:
    """Generate images.

    Parameters
    ----------
    unet : UNet
        Moved to `device`; draws in evaluation mode.
    diffusion : Diffusion
        The sampler.
    count : int
        n.
    seed : int
        The run's seed. An image's noise depends on it, on the stream and on the image's place in it
        alone, not on n nor on the batches; the sampler's own noise (eta above 0) depends on the
        batches too.
    batch_size : int
        Images that are drawn together.
    device : torch.device
        Where to compute.
    autoencoder : Autoencoder, optional
        That of the latents which the U-Net draws; None where it draws pixels.
    first : int
        Place of the first image in the stream.
    stream : Sequence[str | int]
        Names the stream of random numbers.

    Returns
    -------
    NDArray[uint8]
        Shape (n, C, H, W), values 0 to 255.
    """
    shape = image_shape(unet) if autoencoder is None else autoencoder.image_shape
    images = np.empty((count, *shape), np.uint8)
    x_0 = _batches(unet, diffusion, range(first, first + count), seed, stream, batch_size, device, autoencoder is None)
    with threads(os.cpu_count() or 1):  # the clients wait meanwhile
        for start, batch in zip(range(0, count, batch_size), x_0, strict=True):
            drawn = batch if autoencoder is None else autoencoder.decode(batch)
            images[start : start + batch_size] = _to_bytes(drawn)
    return images


def draw_latents(
    unet: UNet,
    diffusion: Diffusion,
    count: int,
    *,
    seed: int,
    batch_size: int,
    device: torch.device,
    first: int = 0,
    stream: Sequence[str | int] = EVALUATION,
) -> NDArray[np.float32]:
    """Generate the latents that `draw` would decode, to train on them; parameters as there.

    Returns
    -------
    NDArray[float32]
        Shape (n, c, h, w).
    """
    latents = np.empty((count, *image_shape(unet)), np.float32)
    x_0 = _batches(unet, diffusion, range(first, first + count), seed, stream, batch_size, device, clip=False)
    with threads(os.cpu_count() or 1):
        for start, batch in zip(range(0, count, batch_size), x_0, strict=True):
            latents[start : start + batch_size] = batch.float().cpu().numpy()
    return latents


def _batches(
    unet: UNet,
    diffusion: Diffusion,
    places: range,
    seed: int,
    stream: Sequence[str | int],
    batch_size: int,
    device: torch.device,
    clip: bool,
) -> Iterator[Tensor]:
    """Yield x_0 of the images at these places of the stream, batch by batch."""
    shape = image_shape(unet)
    noise = numpy_rng(seed, *stream, "noise")
    for _ in range(places.start):
        noise.standard_normal(shape, np.float32)
    unet = to_device(unet, device)
    for start in range(places.start, places.stop, batch_size):
        size = min(batch_size, places.stop - start)
        epsilon = torch.from_numpy(noise.standard_normal((size, *shape), np.float32)).to(device)
        generator = torch.Generator().manual_seed(derive_seed(seed, *stream, "sampler", start))
        yield diffusion.sample(unet, epsilon, generator, clip=clip)


def _to_bytes(images: Tensor) -> Pixels:
    """Map [-1, 1] to 0..255. What a diverged U-Net draws, not a number, becomes grey: it must show, not crash."""
    bytes_ = ((images.float().nan_to_num(0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: Pixels = bytes_.cpu().numpy()
    return pixels

"""Drawing images from a U-Net, from the same noise every time."""

import os

import numpy as np
import torch
from diffusers import UNet2DModel

from common.compute import threads, to_device
from common.data.images import Pixels
from common.diffusion import Diffusion
from common.model import image_shape
from common.seeding import derive_seed, numpy_rng


def draw(
    unet: UNet2DModel, diffusion: Diffusion, count: int, *, seed: int, batch_size: int, device: torch.device
) -> Pixels:
    """Generate images.

    Parameters
    ----------
    unet : UNet2DModel
        Moved to `device`; draws in evaluation mode.
    diffusion : Diffusion
        The sampler.
    count : int
        n.
    seed : int
        The run's seed. An image's noise depends on it and on the image's place alone, not on n nor
        on the batches; the sampler's own noise (eta above 0) depends on the batches too.
    batch_size : int
        Images that are drawn together.
    device : torch.device
        Where to compute.

    Returns
    -------
    NDArray[uint8]
        Shape (n, C, H, W), values 0 to 255.
    """
    images = np.empty((count, *image_shape(unet)), np.uint8)
    noise = numpy_rng(seed, "evaluation", "noise")
    unet = to_device(unet, device)
    for start in range(0, count, batch_size):
        batch = images[start : start + batch_size]
        epsilon = torch.from_numpy(noise.standard_normal(batch.shape, np.float32)).to(device)
        generator = torch.Generator().manual_seed(derive_seed(seed, "evaluation", "sampler", start))
        with threads(os.cpu_count() or 1):  # the clients wait meanwhile
            batch[...] = _to_bytes(diffusion.sample(unet, epsilon, generator))
    return images


def _to_bytes(images: torch.Tensor) -> Pixels:
    """Map [-1, 1] to 0..255. What a diverged U-Net draws, not a number, becomes grey: it must show, not crash."""
    bytes_ = ((images.float().nan_to_num(0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pixels: Pixels = bytes_.cpu().numpy()
    return pixels

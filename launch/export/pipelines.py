"""The pipeline of diffusers that draws with a model: in memory, the very one that its export can be loaded as."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDIMPipeline, DDPMPipeline, DiffusionPipeline
from PIL.Image import Image

from fedphd.common.training.compute import to_device
from fedphd.common.training.pipeline import FedPhDPipeline
from fedphd.common.training.samplers import DDIM
from fedphd.launch.export.drawable import Drawable


@dataclass(frozen=True)
class Drawer:
    """A pipeline and how it is called.

    Attributes
    ----------
    pipeline : DiffusionPipeline
        One of diffusers' own where that can draw with the model, else `FedPhDPipeline`.
    options : dict[str, object]
        What each call is given, besides the number of images and their generators.
    """

    pipeline: DiffusionPipeline
    options: dict[str, Any]

    @torch.no_grad()
    def draw(self, seeds: range, labels: list[int] | None = None) -> list[Image]:
        """Draw images, one for each seed, all at once; with labels, in these classes."""
        asked = {} if labels is None else {"class_labels": labels}
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = self.pipeline(batch_size=len(seeds), generator=generators, **self.options, **asked)
        images: list[Image] = drawn.images
        return images


def drawer_of(drawable: Drawable, device: torch.device) -> Drawer:
    """Make the pipeline of a model, and say how it is called to draw as the model's sampler says.

    Raises
    ------
    SettingError
        If its scheduler cannot be made.
    """
    sampler, latents = drawable.sampler, drawable.autoencoder is not None
    scheduler = sampler.scheduler(drawable.diffusion, latents=latents)
    unet = to_device(drawable.unet, device)
    calls: dict[str, Any] = {"num_inference_steps": sampler.steps}
    if drawable.plainly_drawn:
        kind = DDIMPipeline if isinstance(sampler, DDIM) else DDPMPipeline
        pipeline, calls = kind(unet, scheduler), calls | sampler.step_options(latents=latents)
    else:
        vae = None if drawable.autoencoder is None else to_device(drawable.autoencoder.network, device)
        pipeline = FedPhDPipeline(unet, scheduler, vae, **settings_of(drawable))
        calls |= {"guidance_scale": sampler.guidance} if drawable.classes else {}
    pipeline.set_progress_bar_config(disable=True)
    return Drawer(pipeline, calls)


def settings_of(drawable: Drawable) -> dict[str, Any]:
    """Give what `FedPhDPipeline` is made with, besides its networks and scheduler."""
    sampler, autoencoder = drawable.sampler, drawable.autoencoder
    settings: dict[str, Any] = {"steps": sampler.steps, "guidance": sampler.guidance}
    settings["step_options"] = sampler.step_options(latents=autoencoder is not None)
    if autoencoder is None:
        return settings
    batch = autoencoder.config.batch_size
    latents = {"scaling": autoencoder.scaling, "shift": autoencoder.shift, "decode_batch": batch}
    return settings | latents | {"draws_latents": True}

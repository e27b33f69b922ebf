"""A pipeline of diffusers for what its own do not draw with: classes, latents, narrow networks, any scheduler.

Exports carry a copy of this module, so it imports nothing of ours but `guidance` and `conditioning`
(`fedphd.launch.export.bundle`).
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput, ModelMixin, SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor

from fedphd.common.network.conditioning import number_of_classes
from fedphd.common.training.guidance import guided

if TYPE_CHECKING:
    from torch import Tensor

Generators = torch.Generator | list[torch.Generator]


class FedPhDPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Draws images with a U-Net that a federation has trained.

    Parameters
    ----------
    unet : ModelMixin
        Predicts noise or v; takes `class_labels` if it was trained with classes.
    scheduler : SchedulerMixin
        Any one of diffusers that walks from noise to images.
    vae : ModelMixin, optional
        The autoencoder, where the U-Net draws latents.
    steps : int
        Steps from noise to images, where a call does not say.
    guidance : float
        w of classifier-free guidance, where a call does not say.
    step_options : dict[str, object], optional
        What the scheduler's `step` takes besides, as eta.
    scaling, shift : float
        Latents are (z - shift) * scaling, z being the autoencoder's.
    decode_batch : int
        Images that the autoencoder decodes at once.
    draws_latents : bool
        Whether the U-Net draws latents.
    """

    model_cpu_offload_seq = "unet->vae"
    _optional_components = ["vae"]  # noqa: RUF012 (diffusers' interface)

    def __init__(
        self,
        unet: ModelMixin,
        scheduler: SchedulerMixin,
        vae: ModelMixin | None = None,
        steps: int = 50,
        guidance: float = 1.0,
        step_options: dict[str, Any] | None = None,
        scaling: float = 1.0,
        shift: float = 0.0,
        decode_batch: int = 16,
        draws_latents: bool = False,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler, vae=vae)
        self.register_to_config(steps=steps, guidance=guidance, step_options=dict(step_options or {}))
        self.register_to_config(scaling=scaling, shift=shift, decode_batch=decode_batch, draws_latents=draws_latents)

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        generator: Generators | None = None,
        num_inference_steps: int | None = None,
        class_labels: Sequence[int] | None = None,
        guidance_scale: float | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> ImagePipelineOutput | tuple[Any]:
        """Draw images.

        Parameters
        ----------
        batch_size : int
            Images to draw, all at once.
        generator : torch.Generator or list[torch.Generator], optional
            Source of all noise: one for all images, or one for each.
        num_inference_steps : int, optional
            Steps from noise to images.
        class_labels : Sequence[int], optional
            The class of each image, for a U-Net that was trained with classes; without, no class.
        guidance_scale : float, optional
            w: epsilon_none + w (epsilon_class - epsilon_none) is followed (Ho and Salimans 2022, eq. 6, with w - 1 for
            its w); 1 is no guidance.
        output_type : {"pil", "np", "pt"}
            PIL images, or a NumPy array (B, H, W, C) or tensor (B, C, H, W) in [0, 1].
        return_dict : bool
            Give an `ImagePipelineOutput`, and not a tuple.

        Raises
        ------
        ValueError
            If labels are given to a U-Net without classes, they are not one for each image or there are no such
            classes, or the autoencoder is missing.
        """
        if self.config.draws_latents and self.vae is None:
            raise ValueError("this U-Net draws latents: load the pipeline with its autoencoder, vae=...")
        weights, options, count = next(self.unet.parameters()), self.unet.config, batch_size
        device = self._execution_device if isinstance(self.unet, ModelMixin) else weights.device
        labels = None if class_labels is None else self._labels(class_labels, count).to(device)
        shape = (count, options.in_channels, options.sample_size, options.sample_size)
        noise = randn_tensor(shape, generator, device, weights.dtype)
        weight = self.config.guidance if guidance_scale is None else guidance_scale
        x_0 = self._walk(guided(self.unet, labels, weight), noise, generator, num_inference_steps or self.config.steps)
        pixels = (self._decode(x_0) / 2 + 0.5).clamp(0, 1)
        self.maybe_free_model_hooks()
        images = self._output(pixels, output_type)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _labels(self, given: Sequence[int], count: int) -> Tensor:
        classes = number_of_classes(self.unet)
        if classes is None:
            raise ValueError("this U-Net was trained without classes: leave class_labels out")
        if len(given) != count or not all(0 <= label < classes for label in given):
            raise ValueError(f"class_labels={list(given)}: give {count}, one for each image, from 0 to {classes - 1}")
        return torch.tensor(list(given))

    def _walk(self, predict: Any, noise: Tensor, generator: Generators | None, steps: int) -> Tensor:
        scheduler = type(self.scheduler).from_config(self.scheduler.config)  # some remember the steps that they made
        scheduler.set_timesteps(steps)
        seeded = {"generator": generator} if "generator" in signature(scheduler.step).parameters else {}
        x_t: Tensor = noise * scheduler.init_noise_sigma
        for t in self.progress_bar(scheduler.timesteps):
            prediction = predict(scheduler.scale_model_input(x_t, t), t)
            x_t = scheduler.step(prediction, t, x_t, **seeded, **self.config.step_options).prev_sample
        return x_t

    def _decode(self, x_0: Tensor) -> Tensor:
        if self.vae is None:
            return x_0
        unscaled = x_0.to(self.vae.dtype) / self.config.scaling + self.config.shift
        return torch.cat([self.vae.decode(z).sample for z in unscaled.split(self.config.decode_batch)])

    def _output(self, pixels: Tensor, kind: str) -> Any:
        if kind == "pt":
            return pixels
        array = pixels.float().cpu().permute(0, 2, 3, 1).numpy()
        return self.numpy_to_pil(array) if kind == "pil" else array

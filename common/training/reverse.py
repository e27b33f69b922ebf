"""The reverse process: from noise to images, by a sampler."""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from fedphd.common.errors import SettingError
from fedphd.common.training.guidance import Predict, guided

if TYPE_CHECKING:
    from fedphd.common.config import Config, DiffusionConfig
    from fedphd.common.network import UNet
    from fedphd.common.training.samplers import SamplerConfig

Generators = torch.Generator | list[torch.Generator]


class ReverseProcess:
    """From noise to images.

    Parameters
    ----------
    sampler : SamplerConfig
        The `sampler` options.
    diffusion : DiffusionConfig
        The process that is reversed.
    latents : bool
        Whether latents are drawn, which are never clipped.

    Raises
    ------
    SettingError
        If there is no such scheduler.
    """

    def __init__(self, sampler: SamplerConfig, diffusion: DiffusionConfig, *, latents: bool = False) -> None:
        self._scheduler = partial(sampler.scheduler, diffusion, latents=latents)
        self._scheduler()  # refused now, if it has to be
        self._options = sampler.step_options(latents=latents)
        self._guidance = sampler.guidance
        self._name = sampler.kind

    @classmethod
    def of(cls, config: Config) -> Self:
        """Make the one of a run; raises as the class does."""
        return cls(config.sampler, config.diffusion, latents=config.model.autoencoder is not None)

    def sample(self, unet: UNet, noise: Tensor, generator: Generators, labels: Tensor | None = None) -> Tensor:
        """Turn noise into images.

        Parameters
        ----------
        unet : UNet
            Runs in evaluation mode, and is returned to the mode it was in.
        noise : Tensor
            x_T, standard normal, shape (B, C, H, W), on the U-Net's device.
        generator : torch.Generator or list[torch.Generator]
            Source of the sampler's own noise, if it has any: one for all images, or one for each. On the CPU the same
            noise comes for every device.
        labels : Tensor, optional
            The class to draw of each image, shape (B,), on the U-Net's device, for a network that takes labels;
            without, no class. `sampler.guidance` says how far to go towards it.

        Returns
        -------
        Tensor
            Images in [-1, 1] or latents, shape (B, C, H, W).
        """
        was_training = unet.training
        unet.eval()
        try:
            return self._walk(guided(unet, labels, self._guidance), noise, generator)
        finally:
            unet.train(was_training)

    def rehearse(self) -> None:
        """Draw with a network that predicts nothing, to find out before a run what would fail in it.

        Raises
        ------
        SettingError
            If a step fails, or what comes out is not finite.
        """
        try:
            generators = [torch.Generator(), torch.Generator()]
            drawn = self._walk(lambda x_t, _t: torch.zeros_like(x_t), torch.zeros(2, 1, 2, 2), generators)
        except Exception as error:  # of any scheduler
            raise SettingError("sampler", self._name, f"cannot draw ({error}); use other steps or options") from error
        if not drawn.isfinite().all():
            raise SettingError("sampler", self._name, "draws what is not a finite number; use other steps or options")

    @torch.no_grad()
    def _walk(self, predict: Predict, noise: Tensor, generator: Generators) -> Tensor:
        scheduler = self._scheduler()  # a new one: some remember the steps that they made
        seeded = {"generator": generator} if "generator" in signature(scheduler.step).parameters else {}
        x_t: Tensor = noise * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            prediction = predict(scheduler.scale_model_input(x_t, t), t)
            x_t = scheduler.step(prediction, t, x_t, **seeded, **self._options).prev_sample
        return x_t

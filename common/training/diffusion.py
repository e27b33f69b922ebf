"""The diffusion process: noise is added as in DDPM, and images are sampled as in DDIM."""

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from fedphd.common.config import DiffusionConfig
from fedphd.common.errors import SettingError
from fedphd.common.network import UNet


class Diffusion:
    """A noise schedule, its forward process and its sampler.

    The betas are those of Ho et al. 2020 (DDPM, section 4), the squared cosine of Nichol and
    Dhariwal 2021 (section 3.2), or evenly spaced in their square root (Rombach et al. 2022, LDM, in the
    authors' code; diffusers' `scaled_linear`). The U-Net predicts the noise epsilon.

    Parameters
    ----------
    config : DiffusionConfig
        The `diffusion` options.

    Attributes
    ----------
    timesteps : int
        T; the times are 0 to T - 1.

    Raises
    ------
    SettingError
        If the betas do not increase within (0, 1), or the sampler's steps do not divide T.
    """

    def __init__(self, config: DiffusionConfig) -> None:
        _check(config)
        self.timesteps = config.timesteps
        self.eta = config.eta
        self._samplers = {clip: _sampler(config, clip) for clip in (True, False)}

    def add_noise(self, x_0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
        """Draw x_t from q(x_t | x_0) with the given noise (Ho et al. 2020, eq. 4).

        Parameters
        ----------
        x_0, epsilon : Tensor
            Images in [-1, 1] or latents, and standard normal noise, both of shape (B, C, H, W).
        t : Tensor
            Times from 0 to T - 1, shape (B,).

        Returns
        -------
        Tensor
            sqrt(alpha-bar_t) x_0 + sqrt(1 - alpha-bar_t) epsilon, shape (B, C, H, W).
        """
        noisy: Tensor = self._samplers[True].add_noise(x_0, epsilon, t)
        return noisy

    @torch.no_grad()
    def sample(
        self, unet: UNet, noise: Tensor, generator: torch.Generator | None = None, *, clip: bool = True
    ) -> Tensor:
        """Turn noise into images by DDIM (Song et al. 2021, eq. 12).

        Parameters
        ----------
        unet : UNet
            Runs in evaluation mode, and is returned to the mode it was in.
        noise : Tensor
            x_T, standard normal, shape (B, C, H, W), on the U-Net's device.
        generator : torch.Generator, optional
            Source of the sampler's own noise; needed where eta is above 0.
        clip : bool
            Clip each predicted x_0 to [-1, 1]; latents are not bounded.

        Returns
        -------
        Tensor
            Images in [-1, 1] or latents, shape (B, C, H, W).

        Raises
        ------
        ValueError
            If eta is above 0 and no generator is given.
        """
        if self.eta > 0 and generator is None:
            raise ValueError("sampling with eta > 0 draws noise and needs a seeded generator")
        scheduler, was_training = self._samplers[clip], unet.training
        unet.eval()
        try:
            x_t = noise
            for t in scheduler.timesteps.tolist():
                step = scheduler.step(unet(x_t, t).sample, t, x_t, eta=self.eta, generator=generator)
                x_t = step.prev_sample
        finally:
            unet.train(was_training)
        return x_t


def _sampler(config: DiffusionConfig, clip: bool) -> DDIMScheduler:
    scheduler = DDIMScheduler(
        num_train_timesteps=config.timesteps,
        beta_schedule=config.beta_schedule,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        prediction_type="epsilon",
        clip_sample=clip,
        clip_sample_range=1.0,
        set_alpha_to_one=True,  # alpha-bar before the first time is 1, as in Song et al.
        timestep_spacing="leading",
    )
    scheduler.set_timesteps(config.sampler_steps)
    return scheduler


def _check(config: DiffusionConfig) -> None:
    given = config.beta_schedule in ("linear", "scaled_linear")  # the cosine has no ends to choose
    if given and not config.beta_start <= config.beta_end < 1:
        advice = f"must be below 1 and at least diffusion.beta_start={config.beta_start}"
        raise SettingError("diffusion.beta_end", config.beta_end, advice)
    # With any other number of steps, DDIM's evenly spaced times would end short of T, where x_t is not yet pure noise.
    if config.timesteps % config.sampler_steps:
        divisors = [steps for steps in range(1, config.timesteps + 1) if config.timesteps % steps == 0]
        nearest = min(divisors, key=lambda steps: abs(steps - config.sampler_steps))
        advice = f"must divide diffusion.timesteps={config.timesteps}, so at most that; the nearest is {nearest}"
        raise SettingError("diffusion.sampler_steps", config.sampler_steps, advice)

"""DDPM's ancestral sampling (Ho et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedphd.common.training.samplers.base import SAMPLERS, Spaced

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

    from fedphd.common.config.training import DiffusionConfig


@SAMPLERS.register("ddpm")
class DDPM(Spaced):
    """Ancestral sampling with the posterior's variance (Ho et al. 2020, algorithm 2 and eq. 6 to 7).

    sigma_t^2 is beta-tilde_t, the smaller of the paper's two, as in FedDiffuse's code. Fewer steps than T walk a
    shorter chain with the same alpha-bar at its times (Nichol and Dhariwal 2021, section 4).
    """

    def suits(self, steps: int, timesteps: int) -> bool:
        """Whether the steps divide T; with "linspace", from 0 to T - 1, any number from two on does."""
        return 2 <= steps <= timesteps if self.spacing == "linspace" else super().suits(steps, timesteps)

    def scheduler(self, diffusion: DiffusionConfig, *, latents: bool) -> DDPMScheduler:
        """Make diffusers' `DDPMScheduler`."""
        from diffusers import DDPMScheduler

        scheduler = DDPMScheduler(
            **diffusion.schedule,
            variance_type="fixed_small",
            clip_sample=self.clips(latents=latents),
            clip_sample_range=1.0,
            timestep_spacing=self.spacing,
        )
        scheduler.set_timesteps(self.steps)
        return scheduler

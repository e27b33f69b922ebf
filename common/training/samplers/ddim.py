"""DDIM (Song et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from fedphd.common.training.samplers.base import SAMPLERS, Spaced

if TYPE_CHECKING:
    from diffusers import DDIMScheduler

    from fedphd.common.config.training import DiffusionConfig


@SAMPLERS.register("ddim")
class DDIM(Spaced):
    """DDIM (Song et al. 2021, eq. 12).

    Where x_0 is clipped, epsilon is the one that follows from the clipped x_0, as in FedPhD's code: so a step leads to
    a point between x_0 and x_t, and with eta 1 it is DDPM's.

    Attributes
    ----------
    eta : float
        How much noise each step adds: 0 none, 1 as DDPM (eq. 16).
    """

    eta: Annotated[float, Field(ge=0, le=1)]

    def suits(self, steps: int, timesteps: int) -> bool:
        """Whether the steps divide T; with "linspace" only T do, since diffusers' step always goes back T // steps."""
        return steps == timesteps if self.spacing == "linspace" else super().suits(steps, timesteps)

    def scheduler(self, diffusion: DiffusionConfig, *, latents: bool) -> DDIMScheduler:
        """Make diffusers' `DDIMScheduler`."""
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler(
            **diffusion.schedule,
            clip_sample=self.clips(latents=latents),
            clip_sample_range=1.0,
            set_alpha_to_one=True,  # alpha-bar before the first time is 1, as in Song et al.
            timestep_spacing=self.spacing,
        )
        scheduler.set_timesteps(self.steps)
        return scheduler

    def step_options(self, *, latents: bool) -> dict[str, object]:
        """Give eta, and whether epsilon follows from the clipped x_0."""
        return {"eta": self.eta, "use_clipped_model_output": self.clips(latents=latents)}

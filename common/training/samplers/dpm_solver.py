"""DPM-Solver++ (Lu et al. 2022), which needs few steps."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal

from fedphd.common.training.samplers.base import SAMPLERS, Spaced

if TYPE_CHECKING:
    from diffusers import DPMSolverMultistepScheduler

    from fedphd.common.config.training import DiffusionConfig

COSINE_LAMBDA = -5.1  # where diffusers' documentation has the cosine's log-SNR end: beyond, it is not stable


@SAMPLERS.register("dpm_solver")
class DPMSolver(Spaced):
    """Multistep DPM-Solver++ (Lu et al. 2022, algorithm 2).

    Attributes
    ----------
    order : {1, 2, 3}
        Of the solver.
    sde : bool
        Whether the reverse SDE is solved, which draws noise in each step, instead of the ODE.
    """

    order: Literal[1, 2, 3]
    sde: bool

    def suits(self, steps: int, timesteps: int) -> bool:
        """Whether the steps are even: diffusers counts the end, except with "trailing", as one more."""
        if self.spacing == "linspace":
            return steps < timesteps
        return super().suits(steps if self.spacing == "trailing" else steps + 1, timesteps)

    def scheduler(self, diffusion: DiffusionConfig, *, latents: bool) -> DPMSolverMultistepScheduler:
        """Make diffusers' `DPMSolverMultistepScheduler`."""
        from diffusers import DPMSolverMultistepScheduler

        cosine = diffusion.beta_schedule == "squaredcos_cap_v2"
        scheduler = DPMSolverMultistepScheduler(
            **diffusion.schedule,
            algorithm_type="sde-dpmsolver++" if self.sde else "dpmsolver++",
            solver_order=self.order,
            thresholding=self.clips(latents=latents),  # Imagen's threshold, of at most 1, is clipping to [-1, 1]
            sample_max_value=1.0,
            timestep_spacing=self.spacing,
            lambda_min_clipped=COSINE_LAMBDA if cosine else -inf,
        )
        scheduler.set_timesteps(self.steps)
        return scheduler

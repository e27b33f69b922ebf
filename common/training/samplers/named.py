"""Any scheduler of diffusers, by the name of its class."""

from __future__ import annotations

from inspect import Parameter, isclass, signature
from typing import TYPE_CHECKING, Any

from fedphd.common.choices import no_such
from fedphd.common.errors import SettingError
from fedphd.common.training.samplers.base import SAMPLERS, SamplerConfig

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

    from fedphd.common.config.training import DiffusionConfig

CLIPPING = ("clip_sample", "thresholding")
STEP = {"self", "model_output", "timestep", "sample"}  # what `step` may ask for
UNSEEDED = {"DPMSolverSDEScheduler"}  # its `step` takes no generator, although it draws noise


@SAMPLERS.register("scheduler")
class NamedScheduler(SamplerConfig):
    """A scheduler of diffusers.

    Attributes
    ----------
    name : str
        Of its class.
    options : dict[str, object]
        Of its constructor; what `diffusion` says of the process is given to it from there.
    """

    name: str
    options: dict[str, object]

    def scheduler(self, diffusion: DiffusionConfig, *, latents: bool) -> SchedulerMixin:
        """Make it.

        Raises
        ------
        SettingError
            If diffusers has no such scheduler, it has no such option, or it is not one for this process.
        """
        kind = self._class(diffusion)
        known = set(signature(kind).parameters)
        self._check_options(known, diffusion, latents=latents)
        unclipped = {option: False for option in CLIPPING if latents and option in known}
        scheduler = self._try("sampler.options", self.options, kind, **diffusion.schedule, **unclipped, **self.options)
        self._check_process(scheduler, diffusion)
        self._try("sampler.steps", self.steps, scheduler.set_timesteps, self.steps)
        return scheduler

    def _class(self, diffusion: DiffusionConfig) -> Any:
        import diffusers
        from diffusers.schedulers import KarrasDiffusionSchedulers

        kind = getattr(diffusers, self.name, None) if self.name.endswith("Scheduler") else None
        if not isclass(kind):
            fit = [one.name for one in KarrasDiffusionSchedulers if self._fits(getattr(diffusers, one.name), diffusion)]
            raise SettingError("sampler.name", self.name, no_such("scheduler", self.name, fit, ""))
        if not self._fits(kind, diffusion):
            advice = "does not suit: it takes other betas or another kind of step, or draws noise without a seed"
            raise SettingError("sampler.name", self.name, f"{advice}; use e.g. UniPCMultistepScheduler")
        return kind

    def _fits(self, kind: Any, diffusion: DiffusionConfig) -> bool:
        """Whether it takes the process, and steps from x_t and a prediction alone, from noise to images."""
        try:
            walks = callable(kind.step)
        except (AttributeError, ImportError):  # the latter of one whose library is not installed
            return False
        if not walks or "Inverse" in kind.__name__ or kind.__name__ in UNSEEDED:
            return False
        asks = {name for name, one in signature(kind.step).parameters.items() if one.default is Parameter.empty}
        return asks <= STEP and set(diffusion.schedule) <= set(signature(kind).parameters)

    def _check_options(self, known: set[str], diffusion: DiffusionConfig, *, latents: bool) -> None:
        for option, value in self.options.items():
            key = f"sampler.options.{option}"
            if option in diffusion.schedule:
                raise SettingError(key, value, "is given by the options of diffusion; set it there")
            if option not in known:
                own = sorted(known - set(diffusion.schedule))
                raise SettingError(key, value, no_such(f"option of {self.name}", option, own, ""))
            if latents and option in CLIPPING and value:
                raise SettingError(key, value, "latents have no bounds to clip to; leave it out")

    def _check_process(self, scheduler: Any, diffusion: DiffusionConfig) -> None:
        """Refuse one that walks over other betas than those that the network was trained with."""
        import torch
        from diffusers import DDPMScheduler

        trained = DDPMScheduler(**diffusion.schedule).alphas_cumprod
        if not torch.allclose(scheduler.alphas_cumprod, trained, rtol=1e-5):
            advice = "walks over other betas than those of diffusion, by itself or by sampler.options; use another"
            raise SettingError("sampler.name", self.name, advice)

    def _try(self, key: str, value: object, make: Any, *arguments: object, **options: object) -> Any:
        try:
            return make(*arguments, **options)
        except Exception as error:  # diffusers' schedulers raise what they like
            raise SettingError(key, value, f"{self.name} refuses it: {str(error).strip().splitlines()[0]}") from error

    def step_options(self, *, latents: bool) -> dict[str, object]:
        """Let epsilon follow from the clipped x_0 where the scheduler can (DDIM and its kin)."""
        import diffusers

        takes = signature(getattr(diffusers, self.name).step).parameters
        return {"use_clipped_model_output": not latents} if "use_clipped_model_output" in takes else {}

"""What a sampler is: a choice of the group `sampler`, which makes the scheduler that walks from noise to images."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveInt

from fedphd.common.choices import Affects, Choice, Choices
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

    from fedphd.common.config.schema import Config
    from fedphd.common.config.training import DiffusionConfig

Spacing = Literal["leading", "trailing", "linspace"]


class SamplerConfig(Choice):
    """How images are drawn (`conf/sampler/`).

    It says how a model is measured; with FedDDPM, whose local models draw what the root is fine-tuned on, also what
    is trained (`fedphd.common.config.identity.decides`).

    Attributes
    ----------
    steps : int
        Steps from noise to images.
    guidance : float
        w of classifier-free guidance, for models that are told classes (`fedphd.common.training.guidance`).
    """

    affects: ClassVar[Affects] = Affects.MEASUREMENT

    steps: PositiveInt
    guidance: NonNegativeFloat = 1.0

    @abstractmethod
    def scheduler(self, diffusion: DiffusionConfig, *, latents: bool) -> SchedulerMixin:
        """Make a new scheduler, ready for its first step.

        Parameters
        ----------
        diffusion : DiffusionConfig
            The process that the network has learned to reverse; `diffusion.schedule` has it in diffusers' words.
        latents : bool
            Whether latents are drawn, which have no bounds to clip to, and not pixels in [-1, 1].

        Returns
        -------
        SchedulerMixin
            One of diffusers, or an object with the same `timesteps`, `init_noise_sigma`, `scale_model_input` and
            `step`. Noise of its own it draws from the `generator` that its `step` takes: a list with one for each
            image, as diffusers' `randn_tensor` does.

        Raises
        ------
        SettingError
            If there is no such scheduler.
        """

    def step_options(self, *, latents: bool) -> dict[str, object]:  # noqa: ARG002
        """Give what the scheduler's `step` takes in addition to prediction, time, x_t and generator."""
        return {}


SAMPLERS = Choices("sampler", SamplerConfig, lenient=True)  # type: ignore[type-abstract]


class Spaced(SamplerConfig):
    """A sampler whose times have a spacing, and which can clip.

    Attributes
    ----------
    spacing : {"leading", "trailing", "linspace"}
        Which of the T times are walked (Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are
        Flawed", table 2): with T = 1000 and 4 steps, leading is 750, 500, 250, 0 and trailing 999, 749, 499, 249.
    clip : bool
        Clip each predicted x_0 to [-1, 1]. Latents are never clipped.
    """

    spacing: Spacing
    clip: bool

    def clips(self, *, latents: bool) -> bool:
        """Whether the predicted x_0 is clipped."""
        return self.clip and not latents

    def suits(self, steps: int, timesteps: int) -> bool:
        """Whether so many steps are evenly spaced over T times and begin at noise; by default, if they divide T.

        With other numbers "leading" begins short of T, where x_t is not yet noise, and "trailing" has gaps of two
        sizes, or comes out a step too long.
        """
        return timesteps % steps == 0

    def check(self, config: Config) -> None:
        """Check that the steps suit T and the spacing."""
        self.check_steps(config.diffusion.timesteps)

    def check_steps(self, timesteps: int) -> None:
        """Check that the steps suit a T and the spacing.

        Raises
        ------
        SettingError
            If they do not.
        """
        if self.suits(self.steps, timesteps):
            return
        able = [steps for steps in range(1, timesteps + 1) if self.suits(steps, timesteps)]
        nearest = min(able, key=lambda steps: abs(steps - self.steps), default=None)
        advice = f"does not go evenly into diffusion.timesteps={timesteps} with sampler.spacing={self.spacing}"
        use = "use another spacing" if nearest is None else f"the nearest that does is {nearest}"
        raise SettingError("sampler.steps", self.steps, f"{advice}; {use}")

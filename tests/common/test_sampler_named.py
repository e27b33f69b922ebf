"""`sampler=scheduler`: any scheduler of diffusers that fits, and what is refused."""

import diffusers
import pytest
import torch
from helpers import small_config
from test_sampler import Gaussian, gaussians_image, noise, reverse

from fedphd.common.errors import SettingError
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.samplers import SAMPLERS, NamedScheduler, SamplerConfig

FITTING = [
    *("DDIMParallelScheduler", "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler"),
    *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler"),
    *("EulerDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler"),
    *("LMSDiscreteScheduler", "PNDMScheduler", "SASolverScheduler", "UniPCMultistepScheduler"),
]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers.*", "ignore::DeprecationWarning:numpy.*")
SOLVERS = ["EulerDiscreteScheduler", "HeunDiscreteScheduler", "UniPCMultistepScheduler", "LMSDiscreteScheduler"]


def named(name: str, *overrides: str, latents: bool = False) -> ReverseProcess:
    return reverse("sampler=scheduler", f"sampler.name={name}", *overrides, latents=latents)


@pytest.mark.parametrize("name", FITTING)
def test_those_that_fit_draw_alike_again(name: str) -> None:
    process = named(name, "sampler.steps=10")
    process.rehearse()
    first, again = (process.sample(Gaussian(0.1, 0.25), noise(0), torch.Generator().manual_seed(1)) for _ in "12")  # type: ignore[arg-type]
    assert torch.equal(first, again)
    assert first.isfinite().all()
    assert 0.1 < float(first.std()) < 0.6  # towards the 0.25 of the images, from 1, in ten steps


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_find_where_the_probability_flow_leads(name: str) -> None:
    """So their time, scaling and first noise are right."""
    drawn = named(name, "sampler.steps=100").sample(Gaussian(0.1, 0.25), noise(0), torch.Generator())  # type: ignore[arg-type]
    assert float((drawn - gaussians_image(noise(0))).abs().mean()) < 0.05


def test_epsilon_follows_from_the_clipped_x_0_by_name_too() -> None:
    ours = reverse("sampler.steps=50").sample(Gaussian(0.1, 1), 3 * noise(0), torch.Generator())  # type: ignore[arg-type]
    drawn = named("DDIMScheduler").sample(Gaussian(0.1, 1), 3 * noise(0), torch.Generator())  # type: ignore[arg-type]
    assert torch.equal(drawn, ours)


def test_latents_are_not_clipped() -> None:
    large = 5 * noise(0)
    ours = reverse("sampler.steps=50", "sampler.clip=false").sample(Gaussian(0, 3), large, torch.Generator())  # type: ignore[arg-type]
    drawn = named("DDIMScheduler", latents=True).sample(Gaussian(0, 3), large, torch.Generator())  # type: ignore[arg-type]
    assert torch.equal(drawn, ours)
    assert drawn.abs().max() > 1


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("sampler.name=UniPCScheduler",),
            r"sampler\.name=.*no such scheduler; did you mean UniPCMultistepScheduler\? use ",
        ),
        (("sampler.name=UNet2DModel",), r"sampler\.name=.*no such scheduler"),
        (("sampler.name=RePaintScheduler",), r"sampler\.name=.*does not suit.*use e\.g\. UniPC"),
        (("sampler.name=FlowMatchEulerDiscreteScheduler",), r"sampler\.name=.*does not suit"),
        (("sampler.name=DDIMInverseScheduler",), r"sampler\.name=.*does not suit"),
        (("sampler.name=DPMSolverSDEScheduler",), r"sampler\.name=.*does not suit"),
        (("sampler.name=KarrasVeScheduler",), r"sampler\.name=.*does not suit"),
        (("sampler.name=CosineDPMSolverMultistepScheduler",), r"sampler\.name=.*does not suit"),
        (("sampler.name=CogVideoXDDIMScheduler",), r"sampler\.name=.*other betas"),
        (("+sampler.options.rescale_betas_zero_snr=true",), r"sampler\.name=.*other betas"),
        (("+sampler.options.solver_ordre=3",), r"sampler\.options\.solver_ordre=3: .*did you mean solver_order\? use "),
        (("+sampler.options.beta_end=0.5",), r"sampler\.options\.beta_end=0\.5: is given by the options of diffusion"),
        (("+sampler.options.timestep_spacing=middling",), r"sampler\.steps=50: UniPC.* refuses it: middling"),
        (("+sampler.options.solver_type=bh9",), r"sampler\.options=.*UniPC.* refuses it: bh9"),
        (("sampler.name=LCMScheduler", "sampler.steps=51"), r"sampler\.steps=51: LCMScheduler refuses it: "),
        (("sampler.name=PNDMScheduler", "sampler.steps=2"), r"sampler"),
    ],
)
def test_refusals(overrides: tuple[str, ...], said: str) -> None:
    config = small_config("sampler=scheduler", *overrides)
    with pytest.raises(SettingError, match=f"^{said}") as refused:
        ReverseProcess.of(config).rehearse()
    assert "\n" not in str(refused.value)


def test_latents_are_not_clipped_by_an_option() -> None:
    with pytest.raises(SettingError, match=r"^sampler\.options\.thresholding=true: latents have no bounds"):
        named("UniPCMultistepScheduler", "+sampler.options.thresholding=true", latents=True)


def test_what_fails_in_a_step_is_found_before_the_start() -> None:
    class Failing(NamedScheduler):
        def step_options(self, *, latents: bool) -> dict[str, object]:
            return {"eta": 1.0}

    failing = Failing(kind="mine:Failing", name="UniPCMultistepScheduler", steps=5, options={})
    with pytest.raises(SettingError, match=r"^sampler=mine:Failing: cannot draw \(.*eta"):
        ReverseProcess(failing, small_config().diffusion).rehearse()


class Own(SamplerConfig):
    """A user's own: DDPM's scheduler with the larger variance, beta_t."""

    def scheduler(self, diffusion: object, *, latents: bool) -> diffusers.DDPMScheduler:
        scheduler = diffusers.DDPMScheduler(**diffusion.schedule, variance_type="fixed_large")  # type: ignore[attr-defined]
        scheduler.set_timesteps(self.steps)
        return scheduler


def test_a_users_own_sampler() -> None:
    """By its import path; options of other choices, which an experiment may set, are left out."""
    own = SAMPLERS.read({"kind": "test_sampler_named:Own", "steps": 10, "eta": 0.0})
    process = ReverseProcess(own, small_config().diffusion)
    process.rehearse()
    assert process.sample(Gaussian(0.1, 0.2), noise(0), torch.Generator()).abs().max() <= 1  # type: ignore[arg-type]

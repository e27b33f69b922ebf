"""Sampling: each sampler against its formula, and against diffusers' own schedulers with the same noise."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from helpers import small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedphd.common.config import affects, decides
from fedphd.common.errors import SettingError
from fedphd.common.training.reverse import ReverseProcess

# Three betas 0.1, 0.2, 0.3: alpha-bar is 0.9, 0.9 * 0.8 = 0.72, 0.72 * 0.7 = 0.504.
THREE = ("diffusion.timesteps=3", "diffusion.beta_start=0.1", "diffusion.beta_end=0.3", "sampler.steps=3")
ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
PAPER = {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}


def reverse(*overrides: str, latents: bool = False) -> ReverseProcess:
    config = small_config(*overrides)
    return ReverseProcess(config.sampler, config.diffusion, latents=latents)


class Linear(torch.nn.Module):
    """Predicts c x: a network whose steps can be worked by hand; notes how it was called."""

    def __init__(self, c: float) -> None:
        super().__init__()
        self.c = c
        self.calls: list[tuple[float, bool, bool]] = []

    def forward(self, x: Tensor, t: Tensor) -> Any:
        self.calls.append((float(t), self.training, torch.is_grad_enabled()))
        return type("Output", (), {"sample": self.c * x})


class Curved(torch.nn.Module):
    """Predicts something that is not linear in x, and another thing at each time; quicker than a U-Net."""

    def forward(self, x: Tensor, t: Tensor | float) -> Any:
        return type("Output", (), {"sample": torch.tanh(1.5 * x - 0.1) + 0.2 * torch.cos(torch.as_tensor(t) / 100)})


@pytest.fixture(scope="module")
def unet() -> UNet2DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=2,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            dropout=0.5,
        ).eval()


def noise(seed: int, shape: tuple[int, ...] = (2, 1, 8, 8)) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def times(process: ReverseProcess) -> list[float]:
    network = Linear(0.0)
    process.sample(network, torch.zeros(1, 1, 1, 1), torch.Generator())  # type: ignore[arg-type]
    return [t for t, _, _ in network.calls]


def at(t: int) -> float:
    """alpha-bar, which is 1 before the first time."""
    return float(ALPHA_BAR[t]) if t >= 0 else 1.0


# --- times ---


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("sampler.steps=4",), [750, 500, 250, 0]),
        (("sampler.steps=4", "sampler.spacing=trailing"), [999, 749, 499, 249]),
        (("sampler=ddpm", "sampler.steps=4"), [750, 500, 250, 0]),
        (("sampler=ddpm", "sampler.steps=4", "sampler.spacing=linspace"), [999, 666, 333, 0]),
        (("sampler=dpm_solver", "sampler.steps=4"), [999, 749, 500, 250]),
        (("sampler=dpm_solver", "sampler.steps=4", "sampler.spacing=leading"), [800, 600, 400, 200]),
        (("sampler=dpm_solver", "sampler.steps=4", "sampler.spacing=trailing"), [999, 749, 499, 249]),
    ],
)
def test_times(overrides: tuple[str, ...], expected: list[int]) -> None:
    assert times(reverse(*overrides)) == expected


@pytest.mark.parametrize(
    ("overrides", "steps", "nearest"),
    [
        ((), 1001, 1000),
        ((), 600, 500),  # diffusers would begin at time 599
        ((), 30, 25),
        (("sampler.spacing=trailing",), 30, 25),  # diffusers would step back 33, between times that are 34 apart
        (("sampler.spacing=linspace",), 50, 1000),  # ... 20 and 20.4
        (("sampler=ddpm",), 300, 250),
        (("sampler=ddpm", "sampler.spacing=trailing"), 61, 50),  # diffusers would make 62, the last of them at -1
        (("sampler=ddpm", "sampler.spacing=linspace"), 1, 2),  # diffusers would begin, and end, at time 0
        (("sampler=dpm_solver",), 1000, 999),
        (("sampler=dpm_solver", "sampler.spacing=leading"), 20, 19),  # diffusers would begin at time 940
    ],
)
def test_steps_that_do_not_suit_are_refused(overrides: tuple[str, ...], steps: int, nearest: int) -> None:
    said = (
        rf"^sampler\.steps={steps}: does not go evenly into diffusion\.timesteps=1000 .*; the nearest .* is {nearest}$"
    )
    with pytest.raises(SettingError, match=said):
        small_config(*overrides, f"sampler.steps={steps}")


def test_of_one_time_no_steps_are_between() -> None:
    with pytest.raises(SettingError, match="use another spacing"):
        small_config("diffusion.timesteps=1", "sampler=dpm_solver", "sampler.steps=1")
    assert times(reverse("diffusion.timesteps=1", "sampler=ddpm", "sampler.steps=1")) == [0]


# --- DDIM ---


def test_ddim_by_hand() -> None:
    """e = 0.5 x from 3; x_0 is clipped to 1 in the first step, and epsilon is then what leads from it to x."""
    x = 3.0
    for a, before in ((0.504, 0.72), (0.72, 0.9), (0.9, 1.0)):
        x_0 = min(1.0, max(-1.0, (x - (1 - a) ** 0.5 * 0.5 * x) / a**0.5))
        e = (x - a**0.5 * x_0) / (1 - a) ** 0.5
        x = before**0.5 * x_0 + (1 - before) ** 0.5 * e
    drawn = reverse(*THREE).sample(Linear(0.5), torch.full((1, 1, 1, 1), 3.0), torch.Generator())  # type: ignore[arg-type]
    assert drawn.item() == pytest.approx(x, rel=1e-5)


@pytest.mark.parametrize(("overrides", "latents"), [(("sampler.clip=false",), False), ((), True)])
def test_without_clipping_by_hand(overrides: tuple[str, ...], latents: bool) -> None:
    x = 3.0
    for a, before in ((0.504, 0.72), (0.72, 0.9), (0.9, 1.0)):
        x *= before**0.5 * (1 - 0.5 * (1 - a) ** 0.5) / a**0.5 + 0.5 * (1 - before) ** 0.5
    process = reverse(*THREE, *overrides, latents=latents)
    drawn = process.sample(Linear(0.5), torch.full((1, 1, 1, 1), 3.0), torch.Generator())  # type: ignore[arg-type]
    assert drawn.item() == pytest.approx(x, rel=1e-5)
    assert x > 1


@torch.no_grad()
def test_fedphds_step() -> None:
    """The authors' `sample_image`: times 999, 989 .. 9 and then -1, x_0 clipped, epsilon from it, eta 0."""
    network: Any = Curved()
    x = noise(0)
    walked = np.linspace(-1, 999, 101).astype(int)[::-1].tolist()
    for t, before in pairwise(walked):
        e = network(x, t).sample
        x_0 = ((x - (1 - at(t)) ** 0.5 * e) / at(t) ** 0.5).clamp(-1, 1)
        e = (x - at(t) ** 0.5 * x_0) / (1 - at(t)) ** 0.5
        x = at(before) ** 0.5 * x_0 + (1 - at(before)) ** 0.5 * e
    process = reverse("sampler=ddim", "sampler.steps=100", "sampler.spacing=trailing")
    torch.testing.assert_close(process.sample(network, noise(0), torch.Generator()), x, rtol=0, atol=2e-5)


@torch.no_grad()
@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim_is_diffusers(eta: float, clip: bool, spacing: str) -> None:
    network: Any = Curved()
    scheduler = DDIMScheduler(**PAPER, clip_sample=clip, timestep_spacing=spacing)  # type: ignore[arg-type]
    scheduler.set_timesteps(20)
    x, generator = noise(0), torch.Generator().manual_seed(5)
    for t in scheduler.timesteps:
        prediction, own = network(x, t).sample, torch.randn(x.shape, generator=generator)
        given = {"eta": eta, "use_clipped_model_output": clip, "variance_noise": own}
        x = scheduler.step(prediction, t, x, **given).prev_sample  # type: ignore[arg-type]
    process = reverse("sampler.steps=20", f"sampler.eta={eta}", f"sampler.clip={clip}", f"sampler.spacing={spacing}")
    assert torch.equal(process.sample(network, noise(0), torch.Generator().manual_seed(5)), x)


# --- DDPM ---


def ancestral(network: Any, x: Tensor, own: Iterator[Tensor], clip: bool) -> Tensor:
    """Ho et al. 2020, eq. 6 to 7, by hand: from the posterior's mean and variance, over all 1,000 times."""
    for t in range(999, -1, -1):
        a, before = at(t), at(t - 1)
        x_0 = (x - (1 - a) ** 0.5 * network(x, t).sample) / a**0.5
        x_0 = x_0.clamp(-1, 1) if clip else x_0
        beta = 1 - a / before
        x = before**0.5 * beta / (1 - a) * x_0 + (1 - beta) ** 0.5 * (1 - before) / (1 - a) * x
        if t > 0:
            x = x + ((1 - before) / (1 - a) * beta) ** 0.5 * next(own)
    return x


def stream(seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(2, 1, 8, 8, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("clip", [True, False])
def test_ddpm_is_the_paper_diffusers_and_ddim_with_eta_1(clip: bool) -> None:
    """With and without clipping: the epsilon that follows from the clipped x_0 makes DDIM the same there too."""
    network: Any = Curved()
    ddpm = reverse("sampler=ddpm", f"sampler.clip={clip}").sample(network, noise(0), torch.Generator().manual_seed(5))
    scheduler = DDPMScheduler(**PAPER, variance_type="fixed_small", clip_sample=clip)  # type: ignore[arg-type]
    x, generator = noise(0), torch.Generator().manual_seed(5)
    for t in range(999, -1, -1):
        x = scheduler.step(network(x, t).sample, t, x, generator=generator).prev_sample
    torch.testing.assert_close(ddpm, x, rtol=0, atol=1e-6)
    scale = float(ddpm.abs().max())
    torch.testing.assert_close(ddpm / scale, ancestral(network, noise(0), stream(5), clip) / scale, rtol=0, atol=1e-4)
    as_ddim = reverse("sampler=ddim", "sampler.steps=1000", "sampler.eta=1.0", f"sampler.clip={clip}")
    ddim = as_ddim.sample(network, noise(0), torch.Generator().manual_seed(5))
    torch.testing.assert_close(ddim / scale, ddpm / scale, rtol=0, atol=1e-4)


def test_ddpm_is_diffusers_pipeline(unet: UNet2DModel) -> None:
    """A shorter chain: FedDiffuse's 1,000 steps in 20."""
    pipeline = DDPMPipeline(unet, DDPMScheduler(**PAPER, variance_type="fixed_small"))  # type: ignore[arg-type]
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    expected = pipeline(batch_size=2, generator=generator, num_inference_steps=20, output_type="np").images  # type: ignore[operator]
    generator = torch.Generator().manual_seed(5)
    start = torch.randn(2, 1, 8, 8, generator=generator)
    drawn = reverse("sampler=ddpm", "sampler.steps=20").sample(unet, start, generator)
    images = (drawn / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(images, expected, rtol=0, atol=1e-6)


# --- DPM-Solver++ ---


class Gaussian(torch.nn.Module):
    """The exact prediction for images that are normal with mean m and variance s^2 (all pixels on their own)."""

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, x: Tensor, t: Tensor) -> Any:
        a = at(int(t))
        e = (1 - a) ** 0.5 * (x - a**0.5 * self.mean) / (a * self.deviation**2 + 1 - a)
        return type("Output", (), {"sample": e})


def gaussians_image(x_t: Tensor) -> Tensor:
    """Where the probability flow leads to: each pixel keeps its place in its distribution."""
    a = at(999)
    place = (x_t - a**0.5 * 0.1) / (a * 0.25**2 + 1 - a) ** 0.5
    return 0.1 + 0.25 * place


def test_higher_order_solves_better() -> None:
    start, error = noise(0), {}
    for name, overrides in {
        "ddim": ("sampler=ddim", "sampler.spacing=trailing"),
        "order 1": ("sampler=dpm_solver", "sampler.order=1"),
        "order 2": ("sampler=dpm_solver", "sampler.order=2"),
    }.items():
        process = reverse(*overrides, "sampler.steps=100", "sampler.clip=false")
        drawn = process.sample(Gaussian(0.1, 0.25), start, torch.Generator())  # type: ignore[arg-type]
        error[name] = float((drawn - gaussians_image(start)).abs().max())
    assert error["order 2"] < min(error["order 1"], error["ddim"]) / 4
    assert error["order 2"] < 0.01


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_the_solver_clips_and_is_finite(unet: UNet2DModel, order: int, betas: str) -> None:
    process = reverse("sampler=dpm_solver", f"sampler.order={order}", f"diffusion.beta_schedule={betas}")
    drawn = process.sample(unet, noise(0), torch.Generator())
    assert drawn.isfinite().all()
    assert drawn.abs().max() <= 1


# --- what all have in common ---

NOISY = [
    ("sampler.steps=5", "sampler.eta=0.5"),
    ("sampler=ddpm", "sampler.steps=5"),
    ("sampler=dpm_solver", "sampler.sde=true"),
]
QUIET = [("sampler.steps=5",), ("sampler=dpm_solver", "sampler.steps=5"), ("sampler=scheduler", "sampler.steps=5")]


@pytest.mark.parametrize("overrides", [*NOISY, *QUIET])
def test_own_noise_comes_from_the_generator(unet: UNet2DModel, overrides: tuple[str, ...]) -> None:
    process, state = reverse(*overrides), torch.get_rng_state()
    first, again, other = (process.sample(unet, noise(0), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (overrides in QUIET)
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(0.1, 100), seed=st.integers(0, 99), which=st.sampled_from([*NOISY, *QUIET[:2]]))
def test_images_stay_within_range(scale: float, seed: int, which: tuple[str, ...]) -> None:
    drawn = reverse(*which).sample(Linear(0.3), scale * noise(seed), torch.Generator())  # type: ignore[arg-type]
    assert drawn.abs().max() <= 1 + 1e-5


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored_and_no_graph_is_kept(training: bool) -> None:
    network = Linear(0.5).train(training)
    start = torch.zeros(1, 1, 1, 1, requires_grad=True)
    image = reverse(*THREE).sample(network, start, torch.Generator())  # type: ignore[arg-type]
    assert network.calls == [(2, False, False), (1, False, False), (0, False, False)]
    assert network.training is training
    assert not image.requires_grad
    (image * torch.ones(1, requires_grad=True)).sum().backward()  # images may enter a graph, e.g. a classifier's


def test_the_mode_is_restored_after_an_error(unet: UNet2DModel) -> None:
    unet.train()
    with pytest.raises(RuntimeError):
        reverse("sampler.steps=5").sample(unet, noise(0, (2, 7, 8, 8)), torch.Generator())
    assert unet.training
    unet.eval()


@pytest.mark.parametrize("overrides", [*NOISY, *QUIET])
def test_v_and_epsilon_of_one_network_draw_the_same(overrides: tuple[str, ...]) -> None:
    """A network that says in v what another says in epsilon: v = (epsilon - sqrt(1 - a) x) / sqrt(a)."""

    class InV(Gaussian):
        def forward(self, x: Tensor, t: Tensor) -> Any:
            a = at(int(t))
            v = (super().forward(x, t).sample - (1 - a) ** 0.5 * x) / a**0.5
            return type("Output", (), {"sample": v})

    own = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    epsilon = reverse(*overrides).sample(Gaussian(0.1, 0.2), noise(0), own[0])  # type: ignore[arg-type]
    v = reverse(*overrides, "diffusion.prediction=v").sample(InV(0.1, 0.2), noise(0), own[1])  # type: ignore[arg-type]
    torch.testing.assert_close(v, epsilon, rtol=0, atol=1e-3)


def test_what_the_sampler_affects() -> None:
    """It measures; with FedDDPM, whose local models draw what the root is fine-tuned on, it also makes the model."""
    assert {decides(key, small_config()) for key in ("sampler.kind", "sampler.steps", "sampler.spacing")} == {False}
    assert decides("sampler.steps", small_config("correction=each_round"))
    assert decides("diffusion.prediction", small_config())
    assert "MEASUREMENT" in {one.name for one in affects("sampler.options.thresholding")}

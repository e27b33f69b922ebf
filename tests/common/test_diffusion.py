import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.common.config import DiffusionConfig, ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.training.diffusion import Diffusion

PAPER = {
    "timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "sampler_steps": 50,
    "eta": 0.0,
}
# Three betas 0.1, 0.2, 0.3: alpha-bar is 0.9, 0.9 * 0.8 = 0.72, 0.72 * 0.7 = 0.504.
BY_HAND = PAPER | {"timesteps": 3, "beta_start": 0.1, "beta_end": 0.3, "sampler_steps": 3}
ALPHA_BAR = [0.9, 0.72, 0.504]


def diffusion(options=PAPER, **changes):
    return Diffusion(DiffusionConfig.model_validate(options | changes))


class Linear(torch.nn.Module):
    """epsilon_theta(x, t) = c x: a network whose DDIM steps can be worked by hand; notes how it was called."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.calls = []

    def forward(self, x, t):
        self.calls.append((t, self.training, torch.is_grad_enabled()))
        return type("Output", (), {"sample": self.c * x})


@pytest.fixture(scope="module")
def unet():
    options = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 1,
        "block_out_channels": [8, 16],
        "norm_num_groups": 2,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "dropout": 0.5,
    }
    return build_unet(ModelConfig(name="tiny", network="unet2d", unet=options, autoencoder=None), seed=0)


def draw(seed, shape=(2, 1, 8, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class TestForward:
    @pytest.mark.parametrize("t", [0, 1, 2])
    def test_alpha_bar_by_hand(self, t):
        noisy = diffusion(BY_HAND).add_noise(
            torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), -2.0), torch.tensor([t])
        )
        assert noisy.item() == pytest.approx(0.5 * ALPHA_BAR[t] ** 0.5 - 2 * (1 - ALPHA_BAR[t]) ** 0.5, rel=1e-6)

    @pytest.mark.parametrize("t", [0, 1, 2])
    def test_betas_evenly_spaced_in_their_root(self, t):
        # Roots 0.2, 0.4, 0.6, so betas 0.04, 0.16, 0.36: alpha-bar is 0.96, 0.96 * 0.84 = 0.8064, * 0.64 = 0.516096.
        process = diffusion(BY_HAND, beta_schedule="scaled_linear", beta_start=0.04, beta_end=0.36)
        kept = process.add_noise(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.tensor([t]))
        assert kept.item() ** 2 == pytest.approx([0.96, 0.8064, 0.516096][t], rel=1e-6)

    def test_papers_schedule_ends_in_noise(self):
        # The product over t of 1 - beta_t, beta_t from 1e-4 to 0.02 in 1000 equal steps: 4.0358e-5.
        alpha_bar = np.prod(1 - np.linspace(1e-4, 0.02, 1000))
        assert alpha_bar == pytest.approx(4.0358e-5, rel=1e-4)
        kept = diffusion().add_noise(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.tensor([999]))
        assert kept.item() == pytest.approx(alpha_bar**0.5, rel=1e-4)

    @settings(max_examples=20, deadline=None)
    @given(
        t=st.lists(st.integers(0, 999), min_size=1, max_size=5),
        schedule=st.sampled_from(["linear", "scaled_linear", "squaredcos_cap_v2"]),
    )
    def test_each_image_has_its_own_time_and_variance_is_kept(self, t, schedule):
        process, times = diffusion(beta_schedule=schedule), torch.tensor(t)
        x_0, epsilon = draw(0, (len(t), 1, 2, 2)), draw(1, (len(t), 1, 2, 2))
        together = process.add_noise(x_0, epsilon, times)
        signal = process.add_noise(torch.ones(len(t), 1), torch.zeros(len(t), 1), times)
        noise = process.add_noise(torch.zeros(len(t), 1), torch.ones(len(t), 1), times)
        assert torch.allclose(signal**2 + noise**2, torch.ones(len(t), 1), atol=1e-6)
        for i in range(len(t)):
            alone = process.add_noise(x_0[i : i + 1], epsilon[i : i + 1], times[i : i + 1])
            assert torch.allclose(together[i : i + 1], alone)

    def test_timesteps(self):
        assert diffusion(BY_HAND).timesteps == 3


class TestSample:
    def test_ddim_by_hand(self):
        # e = 0.5 x. Each step, Song et al. eq. 12 with sigma = 0: x_0 = (x - sqrt(1 - a_t) e) / sqrt(a_t), clipped;
        # x <- sqrt(a_{t-1}) x_0 + sqrt(1 - a_{t-1}) e, with alpha-bar 1 before the first time.
        x = 0.3
        for a, previous in ((0.504, 0.72), (0.72, 0.9), (0.9, 1.0)):
            e = 0.5 * x
            x_0 = min(1.0, max(-1.0, (x - (1 - a) ** 0.5 * e) / a**0.5))
            x = previous**0.5 * x_0 + (1 - previous) ** 0.5 * e
        network = Linear(0.5)
        image = diffusion(BY_HAND).sample(network, torch.full((1, 1, 1, 1), 0.3))
        assert image.item() == pytest.approx(x, rel=1e-5)
        assert [t for t, _, _ in network.calls] == [2, 1, 0]

    def test_times_are_evenly_spaced(self):
        network = Linear(0.0)
        diffusion(sampler_steps=4).sample(network, torch.zeros(1, 1, 1, 1))
        assert [t for t, _, _ in network.calls] == [750, 500, 250, 0]

    @pytest.mark.parametrize("eta", [0.0, 0.7])
    def test_equals_diffusers_pipeline(self, unet, eta):
        scheduler = DDIMScheduler(num_train_timesteps=1000, beta_schedule="linear", beta_start=1e-4, beta_end=0.02)
        pipeline = DDIMPipeline(unet.eval(), scheduler)
        pipeline.set_progress_bar_config(disable=True)
        expected = pipeline(
            batch_size=2,
            generator=torch.Generator().manual_seed(5),
            eta=eta,
            num_inference_steps=20,
            output_type="np",
        ).images
        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(2, 1, 8, 8, generator=generator)
        images = diffusion(sampler_steps=20, eta=eta).sample(unet, noise, generator)
        assert images.shape == (2, 1, 8, 8)
        assert np.array_equal((images / 2 + 0.5).permute(0, 2, 3, 1).numpy(), expected)

    def test_latents_are_not_clipped(self):
        # As above from 3, where every predicted x_0 is beyond 1: without clipping, one step is
        # x <- sqrt(a_{t-1}) (1 - 0.5 sqrt(1 - a_t)) / sqrt(a_t) x + 0.5 sqrt(1 - a_{t-1}) x.
        x = 3.0
        for a, previous in ((0.504, 0.72), (0.72, 0.9), (0.9, 1.0)):
            x *= previous**0.5 * (1 - 0.5 * (1 - a) ** 0.5) / a**0.5 + 0.5 * (1 - previous) ** 0.5
        start = torch.full((1, 1, 1, 1), 3.0)
        assert diffusion(BY_HAND).sample(Linear(0.5), start, clip=False).item() == pytest.approx(x, rel=1e-5)
        assert diffusion(BY_HAND).sample(Linear(0.5), start).item() <= 1 < x

    @settings(max_examples=10, deadline=None)
    @given(scale=st.floats(0.1, 100), seed=st.integers(0, 99), eta=st.sampled_from([0.0, 1.0]))
    def test_images_stay_within_range(self, scale, seed, eta):
        images = diffusion(sampler_steps=5, eta=eta).sample(Linear(0.3), scale * draw(seed), torch.Generator())
        assert images.abs().max() <= 1

    def test_generator_decides(self, unet):
        process = diffusion(sampler_steps=5, eta=1.0)
        state = torch.get_rng_state()
        first, again, other = (process.sample(unet, draw(0), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.equal(torch.get_rng_state(), state)

    def test_without_eta_the_noise_decides(self, unet):
        process = diffusion(sampler_steps=5)
        assert torch.equal(process.sample(unet, draw(0)), process.sample(unet, draw(0), torch.Generator()))
        assert not torch.equal(process.sample(unet, draw(0)), process.sample(unet, draw(1)))

    def test_eta_needs_a_generator(self, unet):
        with pytest.raises(ValueError, match="generator"):
            diffusion(sampler_steps=5, eta=0.5).sample(unet, draw(0))

    @pytest.mark.parametrize("training", [True, False])
    def test_mode_is_restored_and_no_graph_is_kept(self, training):
        network = Linear(0.5).train(training)
        image = diffusion(BY_HAND).sample(network, torch.zeros(1, 1, 1, 1, requires_grad=True))
        assert network.calls == [(2, False, False), (1, False, False), (0, False, False)]
        assert network.training is training
        assert not image.requires_grad
        (image * torch.ones(1, requires_grad=True)).sum().backward()  # images may enter a graph, e.g. a classifier's

    def test_mode_is_restored_after_an_error(self, unet):
        unet.train()
        with pytest.raises(RuntimeError):
            diffusion(sampler_steps=5).sample(unet, draw(0, (2, 7, 8, 8)))
        assert unet.training


class TestBadOptions:
    @pytest.mark.parametrize(("steps", "nearest"), [(1001, 1000), (2000, 1000), (600, 500), (30, 25)])
    def test_steps_must_divide_timesteps(self, steps, nearest):
        with pytest.raises(SettingError, match=f"timesteps=1000.*nearest is {nearest}") as error:
            diffusion(sampler_steps=steps)
        assert error.value.key == "sampler.steps"

    @pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
    @pytest.mark.parametrize("beta_end", [1e-5, 1.0, 2.0])
    def test_betas_must_grow_below_one(self, beta_end, schedule):
        with pytest.raises(SettingError, match=r"at least diffusion\.beta_start=0\.0001") as error:
            diffusion(beta_end=beta_end, beta_schedule=schedule)
        assert error.value.key == "diffusion.beta_end"

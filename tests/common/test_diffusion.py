import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.common.config import DiffusionConfig
from fedphd.common.errors import SettingError
from fedphd.common.training.diffusion import Diffusion

PAPER = {
    "timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "prediction": "epsilon",
    "min_snr": None,
}
# Three betas 0.1, 0.2, 0.3: alpha-bar is 0.9, 0.9 * 0.8 = 0.72, 0.72 * 0.7 = 0.504.
BY_HAND = PAPER | {"timesteps": 3, "beta_start": 0.1, "beta_end": 0.3}
ALPHA_BAR = [0.9, 0.72, 0.504]


def diffusion(options=PAPER, **changes):
    return Diffusion(DiffusionConfig.model_validate(options | changes))


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


class TestTarget:
    @pytest.mark.parametrize("t", [0, 1, 2])
    def test_by_hand(self, t):
        x_0, epsilon, at = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), -2.0), torch.tensor([t])
        assert diffusion(BY_HAND).target(x_0, epsilon, at) is epsilon
        v = diffusion(BY_HAND, prediction="v").target(x_0, epsilon, at)
        assert v.item() == pytest.approx(-2 * ALPHA_BAR[t] ** 0.5 - 0.5 * (1 - ALPHA_BAR[t]) ** 0.5, rel=1e-6)

    def test_v_gives_x_0_and_epsilon_back(self):
        process, t = diffusion(prediction="v"), torch.tensor([3, 600])
        x_0, epsilon = draw(0), draw(1)
        x_t, v = process.add_noise(x_0, epsilon, t), process.target(x_0, epsilon, t)
        abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)[t].view(-1, 1, 1, 1)
        torch.testing.assert_close(abar.sqrt() * x_t - (1 - abar).sqrt() * v, x_0, rtol=0, atol=1e-5)
        torch.testing.assert_close((1 - abar).sqrt() * x_t + abar.sqrt() * v, epsilon, rtol=0, atol=1e-5)


class TestMinSNR:
    # SNR is 0.9 / 0.1 = 9, 0.72 / 0.28 = 18/7 and 0.504 / 0.496 = 63/62.
    TIMES = torch.tensor([0, 1, 2])

    def test_epsilon_by_hand(self):
        weights = diffusion(BY_HAND, min_snr=2.0).weights(self.TIMES)
        torch.testing.assert_close(weights, torch.tensor([2 / 9, 7 / 9, 1.0]), rtol=1e-5, atol=0)

    def test_v_by_hand(self):
        weights = diffusion(BY_HAND, min_snr=2.0, prediction="v").weights(self.TIMES)
        torch.testing.assert_close(weights, torch.tensor([2 / 10, 2 * 7 / 25, 63 / 125]), rtol=1e-5, atol=0)

    def test_none_weighs_nothing(self):
        assert diffusion(BY_HAND).weights(self.TIMES) is None


class TestBadOptions:
    @pytest.mark.parametrize("schedule", ["linear", "scaled_linear"])
    @pytest.mark.parametrize("beta_end", [1e-5, 1.0, 2.0])
    def test_betas_must_grow_below_one(self, beta_end, schedule):
        with pytest.raises(SettingError, match=r"at least diffusion\.beta_start=0\.0001") as error:
            diffusion(beta_end=beta_end, beta_schedule=schedule)
        assert error.value.key == "diffusion.beta_end"

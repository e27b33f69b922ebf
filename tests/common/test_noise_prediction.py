from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DModel
from helpers import small_config
from torch import Tensor, nn

from fedphd.common.errors import SettingError
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import check_each, find_distance
from fedphd.common.training.noise_prediction import add_noise, simple_loss

DIFFUSION = Diffusion(small_config().diffusion)
X_0 = torch.linspace(-1, 1, 5 * 64).view(5, 1, 8, 8)


class Guess(nn.Module):
    """A network that predicts the same noise everywhere, and remembers what it was asked."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        self.asked.append((x_t, t))
        return SimpleNamespace(sample=torch.full_like(x_t, self.epsilon))


def unet() -> UNet2DModel:
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        dropout=0.0,
    )


def drawn(x_0: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Timesteps, noise and noised images, written out: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon."""
    torch.manual_seed(seed)
    t = torch.randint(1000, (len(x_0),))
    epsilon = torch.randn(x_0.shape)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[t].float().view(-1, 1, 1, 1)
    return t, epsilon, abar.sqrt() * x_0 + (1 - abar).sqrt() * epsilon


def loss(network: nn.Module, seed: int, distance: str = "mse", diffusion: Diffusion = DIFFUSION) -> Tensor:
    torch.manual_seed(seed)
    return simple_loss(network, X_0, diffusion, find_distance(distance))


def test_the_loss_is_the_mean_squared_error_of_the_predicted_noise() -> None:
    network = unet()
    t, epsilon, x_t = drawn(X_0, seed=3)
    expected = ((network(x_t, t).sample - epsilon) ** 2).mean()
    torch.testing.assert_close(loss(network, seed=3), expected, rtol=1e-5, atol=1e-6)


def test_the_network_sees_noised_images_and_their_timesteps() -> None:
    network = Guess(0.0)
    t, epsilon, x_t = drawn(X_0, seed=4)
    value = loss(network, seed=4)
    [(seen, times)] = network.asked
    torch.testing.assert_close(seen, x_t, rtol=1e-5, atol=1e-6)
    assert torch.equal(times, t)
    torch.testing.assert_close(value, (epsilon**2).mean())


def test_timesteps_cover_the_whole_range() -> None:
    torch.manual_seed(0)
    t = add_noise(torch.zeros(20_000, 1, 1, 1), DIFFUSION).t
    assert (t.min(), t.max()) == (0, 999)


def test_huber_by_hand() -> None:
    _, epsilon, _ = drawn(X_0, seed=5)
    error = (2.0 - epsilon).abs()
    by_hand = torch.where(error < 1, error**2 / 2, error - 0.5).mean()
    torch.testing.assert_close(loss(Guess(2.0), 5, "huber"), by_hand)


def test_a_distance_of_the_users_own_is_imported() -> None:
    _, epsilon, _ = drawn(X_0, seed=5)
    torch.testing.assert_close(loss(Guess(0.0), 5, "torch.nn.functional:l1_loss"), epsilon.abs().mean())


def test_the_target_may_be_v() -> None:
    t, epsilon, _ = drawn(X_0, seed=5)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)[t].view(-1, 1, 1, 1)
    v = abar.sqrt() * epsilon - (1 - abar).sqrt() * X_0
    process = Diffusion(small_config("diffusion.prediction=v").diffusion)
    torch.testing.assert_close(loss(Guess(0.5), 5, diffusion=process), ((0.5 - v) ** 2).mean())


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("name", ["mse", "huber", "torch.nn.functional:l1_loss", "users_distances:log_cosh"])
def test_min_snr_weighs_image_by_image(name: str, prediction: str) -> None:
    """Hang et al. 2023: the mean of w_t d, d the distance of one image, w = min(SNR, 5) / SNR, or / (SNR + 1) for v."""
    process = Diffusion(small_config("diffusion.min_snr=5", f"diffusion.prediction={prediction}").diffusion)
    torch.manual_seed(6)
    noised = add_noise(X_0, process)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[noised.t]
    snr = abar / (1 - abar)
    weights = snr.clamp(max=5) / (snr if prediction == "epsilon" else snr + 1)
    guess, distance = torch.full((1, 1, 8, 8), 0.5), find_distance(name)
    each = [w * distance(guess, target) for w, target in zip(weights, noised.target.split(1), strict=True)]
    torch.testing.assert_close(loss(Guess(0.5), 6, name, process), torch.stack(each).mean().float(), rtol=1e-4, atol=0)


def test_min_snr_teaches() -> None:
    network, process = unet(), Diffusion(small_config("diffusion.min_snr=5").diffusion)
    loss(network, 3, "huber", process).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize("name", ["users_distances:if_large", "users_distances:per_pixel", "users_distances:random"])
def test_distances_that_min_snr_cannot_weigh(name: str) -> None:
    check_each("users_distances:log_cosh")
    with pytest.raises(SettingError, match=rf"^objective\.loss={name}: cannot be taken of each image .*min_snr=null"):
        check_each(name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hubert", "did you mean huber.*mse, huber"),
        ("math:e", "must be a function"),
        ("no:where", "cannot be imported"),
    ],
)
def test_unknown_distances(name: str, told: str) -> None:
    with pytest.raises(SettingError, match=rf"^objective\.loss={name}: .*{told}"):
        find_distance(name)

from math import sqrt
from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DModel
from helpers import small_config
from torch import Tensor, nn

from client.objective import Objective, group_norm_penalty
from common.config import ObjectiveConfig
from common.diffusion import Diffusion

DIFFUSION = Diffusion(small_config().diffusion)


class Guess(nn.Module):
    """A network that predicts the same noise everywhere, and remembers what it was asked."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 4.0]))  # of norm 5
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


def objective(loss: str = "mse", sparsity: float = 0.0, sparse: bool = False) -> Objective:
    return Objective(ObjectiveConfig(loss=loss, sparsity=sparsity), DIFFUSION, sparse)


def drawn(x_0: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Timesteps, noise and noised images, written out: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon."""
    torch.manual_seed(seed)
    t = torch.randint(1000, (len(x_0),))
    epsilon = torch.randn(x_0.shape)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[t].float().view(-1, 1, 1, 1)
    return t, epsilon, abar.sqrt() * x_0 + (1 - abar).sqrt() * epsilon


X_0 = torch.linspace(-1, 1, 5 * 64).view(5, 1, 8, 8)


def test_the_loss_is_the_mean_squared_error_of_the_predicted_noise() -> None:
    network = unet()
    t, epsilon, x_t = drawn(X_0, seed=3)
    expected = ((network(x_t, t).sample - epsilon) ** 2).mean()
    torch.manual_seed(3)
    torch.testing.assert_close(objective()(network, X_0), expected, rtol=1e-5, atol=1e-6)


def test_the_network_sees_noised_images_and_their_timesteps() -> None:
    network = Guess(0.0)
    t, epsilon, x_t = drawn(X_0, seed=4)
    torch.manual_seed(4)
    loss = objective()(network, X_0)
    [(seen, times)] = network.asked
    torch.testing.assert_close(seen, x_t, rtol=1e-5, atol=1e-6)
    assert torch.equal(times, t)
    torch.testing.assert_close(loss, (epsilon**2).mean())


def test_timesteps_cover_the_whole_range() -> None:
    network = Guess(0.0)
    torch.manual_seed(0)
    objective()(network, torch.zeros(20_000, 1, 1, 1))
    [(_, times)] = network.asked
    assert (times.min(), times.max()) == (0, 999)


def test_huber_by_hand() -> None:
    network = Guess(2.0)
    _, epsilon, _ = drawn(X_0, seed=5)
    error = (2.0 - epsilon).abs()
    by_hand = torch.where(error < 1, error**2 / 2, error - 0.5).mean()
    torch.manual_seed(5)
    torch.testing.assert_close(objective("huber")(network, X_0), by_hand)


@pytest.mark.parametrize(("sparse", "added"), [(True, 0.05), (False, 0.0)])
def test_the_penalty_counts_in_sparse_rounds_only(sparse: bool, added: float) -> None:
    network = Guess(0.0)
    torch.manual_seed(6)
    plain = objective()(network, X_0)
    torch.manual_seed(6)
    penalised = objective(sparsity=0.01, sparse=sparse)(network, X_0)
    torch.testing.assert_close(penalised - plain, torch.tensor(added), rtol=1e-4, atol=1e-6)  # 0.01 * 5
    assert penalised.requires_grad == sparse


def test_the_penalty_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.GroupNorm(1, 2), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([3.0, 4.0]).view(2, 1, 1, 1))  # 5
        network[0].bias.fill_(100.0)  # biases do not count
        network[1].weight.fill_(1.0)  # sqrt(2)
        network[1].bias.fill_(100.0)
        network[2].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, 1.0]]))  # 2
    torch.testing.assert_close(group_norm_penalty(network), torch.tensor(7 + sqrt(2)))
    network[2].weight.requires_grad_(False)
    torch.testing.assert_close(group_norm_penalty(network), torch.tensor(5 + sqrt(2)))


def test_the_penalty_of_a_unet() -> None:
    network = unet()
    by_hand = sum(
        float((tensor.double() ** 2).sum().sqrt()) for name, tensor in network.state_dict().items() if "weight" in name
    )
    assert group_norm_penalty(network).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_penalty_pulls_weights_towards_zero_by_unit_length() -> None:
    network = Guess(0.0)
    group_norm_penalty(network).backward()
    torch.testing.assert_close(network.weight.grad, torch.tensor([0.6, 0.8]))  # W / ||W||

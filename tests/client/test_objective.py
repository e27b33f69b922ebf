from math import sqrt
from types import SimpleNamespace

import pytest
import torch
from helpers import small_config
from torch import Tensor, nn

from fedphd.client.objective import Objective, group_norm_penalty, needs_previous, needs_received, squared_distance
from fedphd.common.config import ObjectiveConfig
from fedphd.common.network.build import build_unet
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.noise_prediction import simple_loss

CONFIG = small_config()
DIFFUSION = Diffusion(CONFIG.diffusion)
X_0 = torch.linspace(-1, 1, 5 * 64).view(5, 1, 8, 8)


class Guess(nn.Module):
    """A network that predicts no noise, whatever its weights: two tensors, of norms 5 and 2."""

    def __init__(self, weight: tuple[float, float] = (3.0, 4.0), bias: float = 2.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=torch.zeros_like(x_t))


def settings(**changes: object) -> ObjectiveConfig:
    return CONFIG.objective.model_copy(update=changes)


def value(
    config: ObjectiveConfig, network: nn.Module, sparse: bool = False, received: nn.Module | None = None
) -> Tensor:
    torch.manual_seed(6)
    return Objective(config, DIFFUSION, sparse, received)(network, X_0)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_without_terms_it_is_the_simple_loss(loss: str) -> None:
    unet = build_unet(CONFIG.model, 0)
    whole = value(settings(loss=loss), unet)
    torch.manual_seed(6)
    assert torch.equal(whole, simple_loss(unet, X_0, DIFFUSION, loss))


def test_terms_add_up() -> None:
    plain = value(settings(), Guess())
    both = value(settings(sparsity=0.01, proximal=0.5), Guess(), True, Guess((1.0, 4.0), 5.0))
    # 0.01 * 5 + 0.5 / 2 * (2^2 + 3^2)
    torch.testing.assert_close(both - plain, torch.tensor(0.05 + 3.25))


# --- FedPhD's group-norm penalty -----------------------------------------------------------------


@pytest.mark.parametrize(("sparse", "added"), [(True, 0.05), (False, 0.0)])
def test_the_penalty_counts_in_sparse_rounds_only(sparse: bool, added: float) -> None:
    penalised = value(settings(sparsity=0.01), Guess(), sparse)
    torch.testing.assert_close(penalised - value(settings(), Guess()), torch.tensor(added), rtol=1e-4, atol=1e-6)
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
    unet = build_unet(CONFIG.model, 0)
    by_hand = sum(
        float((tensor.double() ** 2).sum().sqrt()) for name, tensor in unet.state_dict().items() if "weight" in name
    )
    assert group_norm_penalty(unet).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_penalty_pulls_weights_towards_zero_by_unit_length() -> None:
    network = Guess()
    group_norm_penalty(network).backward()
    torch.testing.assert_close(network.weight.grad, torch.tensor([0.6, 0.8]))  # W / ||W||


# --- FedProx's proximal term ---------------------------------------------------------------------


def test_the_proximal_term_pulls_towards_the_received_weights_by_mu_times_the_distance() -> None:
    """... so it is added, and squared."""
    network, received = Guess((3.0, 4.0), 2.0), Guess((1.0, 4.5), 2.25)
    value(settings(proximal=0.1), network, received=received).backward()
    # mu * (w - w_g); the norm that is not squared would give mu/2 * (w - w_g) / ||w - w_g|| for each tensor.
    torch.testing.assert_close(network.weight.grad, torch.tensor([0.2, -0.05]))
    torch.testing.assert_close(network.bias.grad, torch.tensor(-0.025))
    assert received.weight.grad is None


def test_the_proximal_term_by_hand() -> None:
    added = value(settings(proximal=0.1), Guess(), received=Guess((1.0, 4.5), 2.25)) - value(settings(), Guess())
    torch.testing.assert_close(added, torch.tensor(0.1 / 2 * (4 + 0.25 + 0.0625)), rtol=1e-4, atol=1e-6)


def test_the_squared_distance_of_unets() -> None:
    one, other = build_unet(CONFIG.model, 0), build_unet(CONFIG.model, 1)
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    by_hand = sum(float(((w.double() - w_g.double()) ** 2).sum()) for w, w_g in pairs)
    assert squared_distance(one, other).item() == pytest.approx(by_hand, rel=1e-5)
    assert squared_distance(one, one).item() == 0


def test_the_received_model_is_frozen() -> None:
    received = build_unet(CONFIG.model, 0)
    Objective(settings(proximal=0.1), DIFFUSION, False, received)
    assert not received.training
    assert not any(p.requires_grad for p in received.parameters())


# --- what must be given --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "received", "previous"),
    [({}, False, False), ({"proximal": 0.1}, True, False), ({"contrastive": 1.0}, True, True)],
)
def test_what_each_term_looks_at(changes: dict[str, float], received: bool, previous: bool) -> None:
    config = settings(**changes)
    assert (needs_received(config), needs_previous(config)) == (received, previous)


@pytest.mark.parametrize("term", ["proximal", "contrastive"])
def test_a_term_without_the_received_model_is_an_error(term: str) -> None:
    with pytest.raises(ValueError, match="needs the received model"):
        Objective(settings(**{term: 0.1}), DIFFUSION, False)

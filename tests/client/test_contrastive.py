"""MOON's term. Its gradient is the point: computed on detached weights, it would train nothing."""

import copy
from types import SimpleNamespace

import pytest
import torch
from helpers import small_config
from torch import Tensor, nn

from fedphd.client.objective import Compared, Contrastive, Objective
from fedphd.client.objective.contrastive import contrastive_loss
from fedphd.client.objective.features import bottleneck_features
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import DISTANCES
from fedphd.common.training.noise_prediction import add_noise, simple_loss

CONFIG = small_config()
DIFFUSION = Diffusion(CONFIG.diffusion)
MSE = DISTANCES["mse"]
MOON = Contrastive(kind="contrastive", weight=2.0, keeps_previous=True, temperature=0.5)
X_0 = torch.linspace(-1, 1, 3 * 64).view(3, 1, 8, 8)


class Tiny(nn.Module):
    """Encoder, bottleneck and decoder of one 1x1 convolution each, with dropout; counts what its decoder does."""

    def __init__(self, seed: int, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv_in = nn.Conv2d(1, 4, 1)
        self.mid_block = nn.Conv2d(4, 4, 1)
        self.conv_out = nn.Conv2d(4, 1, 1)
        self.dropout = nn.Dropout(dropout)
        self.passes, self.decoded = 0, 0

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        self.passes += 1
        z = self.mid_block(self.dropout(self.conv_in(x_t)) * (1 + t.view(-1, 1, 1, 1) / 1000))
        self.decoded += 1
        return SimpleNamespace(sample=self.conv_out(z))


def features(network: Tiny, x_t: Tensor, t: Tensor) -> Tensor:
    return network.mid_block(network.conv_in(x_t) * (1 + t.view(-1, 1, 1, 1) / 1000)).mean((2, 3))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


def by_hand(z: Tensor, z_glob: Tensor, z_prev: Tensor, tau: float) -> Tensor:
    near, far = (cosine(z, z_glob) / tau).exp(), (cosine(z, z_prev) / tau).exp()
    return -(near / (near + far)).log().mean()


def term(network: nn.Module, objective: Objective, seed: int = 0) -> Tensor:
    """The objective minus the simple loss of the same x_t and t."""
    torch.manual_seed(seed)
    whole = objective(network, X_0)
    torch.manual_seed(seed)
    return whole - simple_loss(network, X_0, DIFFUSION, MSE)


def moon(received: nn.Module, previous: nn.Module | None) -> Objective:
    return Objective(MSE, DIFFUSION, {"contrastive": MOON}, Compared(received, previous))


# --- the formula ---------------------------------------------------------------------------------


def test_the_loss_of_features_by_hand() -> None:
    z, same, orthogonal = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    # cos 1 and 0 over tau 0.5: -log(e^2 / (e^2 + 1)) = 0.126928; the other way round log(1 + e^2) = 2.126928
    torch.testing.assert_close(contrastive_loss(z, same, orthogonal, 0.5), torch.tensor(0.126928))
    torch.testing.assert_close(contrastive_loss(z, orthogonal, same, 0.5), torch.tensor(2.126928))
    torch.testing.assert_close(contrastive_loss(z, same, same, 0.5), torch.tensor(2.0).log())


def test_the_loss_is_the_papers_equation() -> None:
    torch.manual_seed(0)
    z, z_glob, z_prev = torch.randn(3, 7, 5)
    torch.testing.assert_close(contrastive_loss(z, z_glob, z_prev, 0.3), by_hand(z, z_glob, z_prev, 0.3))


def test_all_models_see_the_same_noised_images() -> None:
    local, received, previous = Tiny(1), Tiny(2), Tiny(3)
    added = term(local, moon(received, previous))
    torch.manual_seed(0)
    noised = add_noise(X_0, DIFFUSION)
    z, z_glob, z_prev = (features(network, noised.x_t, noised.t) for network in (local, received, previous))
    torch.testing.assert_close(added, 2.0 * by_hand(z, z_glob, z_prev, 0.5))


# --- the gradient --------------------------------------------------------------------------------


def test_the_gradient_is_the_formulas_and_not_zero() -> None:
    local, received, previous = Tiny(1), Tiny(2), Tiny(3)
    torch.manual_seed(0)
    noised = add_noise(X_0, DIFFUSION)
    z, z_glob, z_prev = (features(network, noised.x_t, noised.t) for network in (local, received, previous))
    weights = [local.conv_in.weight, local.mid_block.weight]
    expected = torch.autograd.grad(2.0 * by_hand(z, z_glob.detach(), z_prev.detach(), 0.5), weights)
    gradients = torch.autograd.grad(term(local, moon(received, previous)), weights)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)
        assert gradient.norm() > 0.01


def test_a_unets_encoder_and_bottleneck_learn_from_the_term_and_its_decoder_does_not() -> None:
    unet = build_unet(CONFIG.model, 0)
    objective = moon(build_unet(CONFIG.model, 1), build_unet(CONFIG.model, 2))
    names, parameters = zip(*unet.named_parameters(), strict=True)
    norms = dict(
        zip(names, (float(g.norm()) for g in torch.autograd.grad(term(unet, objective), parameters)), strict=True)
    )
    decoder = ("up_blocks", "conv_norm_out", "conv_out")
    assert max(norm for name, norm in norms.items() if name.startswith(decoder)) == 0
    assert max(norm for name, norm in norms.items() if name.startswith("mid_block")) > 1e-4
    assert max(norm for name, norm in norms.items() if name.startswith("conv_in")) > 1e-4


def test_descending_the_term_draws_to_the_received_model_and_away_from_the_previous_one() -> None:
    local, received, previous = Tiny(1), Tiny(2), Tiny(3)
    objective = moon(received, previous)
    before = term(local, objective)
    for _ in range(20):
        for parameter, gradient in zip(
            (local.conv_in.weight, local.mid_block.weight),
            torch.autograd.grad(term(local, objective), (local.conv_in.weight, local.mid_block.weight)),
            strict=True,
        ):
            parameter.data -= 0.05 * gradient
    assert term(local, objective) < 0.8 * before


# --- the models that are compared with -----------------------------------------------------------


def test_there_is_no_term_without_a_previous_model() -> None:
    local = Tiny(1)
    assert term(local, moon(Tiny(2), None)) == 0
    assert term(local, moon(Tiny(2), Tiny(3))) > 0


def test_frozen_models_compute_without_dropout_gradients_and_decoder() -> None:
    local, received, previous = Tiny(1), Tiny(2, dropout=0.9), Tiny(3, dropout=0.9)
    objective = moon(received, previous)
    without = moon(Tiny(2), Tiny(3))
    assert torch.equal(term(local, objective), term(local, without))
    assert all(p.grad is None and not p.requires_grad for p in (*received.parameters(), *previous.parameters()))
    assert (received.passes, received.decoded) == (previous.passes, previous.decoded) == (1, 0)


def test_the_local_model_runs_once_and_keeps_no_hook() -> None:
    local = Tiny(1)
    objective = moon(Tiny(2), Tiny(3))
    objective(local, X_0).backward()
    assert (local.passes, local.decoded) == (1, 1)
    assert not any(network.mid_block._forward_hooks for network in (local, *objective.compared.models))


def test_the_hook_goes_also_after_an_error() -> None:
    local = Tiny(1)
    with pytest.raises(RuntimeError), bottleneck_features(local) as _features:
        local(torch.zeros(1, 7, 8, 8), torch.zeros(1))
    assert not local.mid_block._forward_hooks


# --- compiled networks and others ----------------------------------------------------------------


def test_a_compiled_network_has_the_term_in_its_second_round_too() -> None:
    torch.compiler.reset()
    local, received, previous = (build_unet(CONFIG.model, seed) for seed in (1, 2, 3))
    compiled = torch.compile(local, backend="eager")
    moon(received, None)(compiled, X_0)  # a client's first round
    expected = term(copy.deepcopy(local), moon(received, previous))
    torch.manual_seed(0)
    whole = moon(received, previous)(compiled, X_0)
    torch.manual_seed(0)
    torch.testing.assert_close(whole - simple_loss(local, X_0, DIFFUSION, MSE), expected)


def test_a_network_that_was_compiled_without_the_term_is_an_error() -> None:
    torch.compiler.reset()
    compiled = torch.compile(build_unet(CONFIG.model, 0), backend="eager")
    Objective(MSE, DIFFUSION)(compiled, X_0)
    with pytest.raises(SettingError, match=r"training\.compile"):
        moon(build_unet(CONFIG.model, 1), build_unet(CONFIG.model, 2))(compiled, X_0)


def test_a_unet_without_a_bottleneck_is_an_error() -> None:
    unet = build_unet(CONFIG.model, 0)
    unet.mid_block = None
    with pytest.raises(SettingError, match=r"^objective\.terms\.contrastive\.kind=contrastive: needs .* bottleneck"):
        moon(unet, None)

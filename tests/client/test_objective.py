from math import sqrt
from types import SimpleNamespace

import pytest
import torch
from helpers import small_config
from torch import Tensor, nn

from fedphd.client.objective import TERMS, Compared, Objective, Term, terms_of
from fedphd.client.objective.group_sparsity import group_norm_penalty
from fedphd.client.objective.proximal import squared_distance
from fedphd.common.config import ObjectiveConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import DISTANCES
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


def terms(**weights: float) -> dict[str, Term]:
    return {kind: TERMS.read({"kind": kind, "weight": weight}) for kind, weight in weights.items()}


def value(network: nn.Module, received: nn.Module | None = None, loss: str = "mse", **weights: float) -> Tensor:
    torch.manual_seed(6)
    return Objective(DISTANCES[loss], DIFFUSION, terms(**weights), Compared(received))(network, X_0)


@pytest.mark.parametrize("loss", DISTANCES)
def test_without_terms_it_is_the_simple_loss(loss: str) -> None:
    unet = build_unet(CONFIG.model, 0)
    whole = value(unet, loss=loss)
    torch.manual_seed(6)
    assert torch.equal(whole, simple_loss(unet, X_0, DIFFUSION, DISTANCES[loss]))


def test_terms_add_up() -> None:
    plain = value(Guess())
    both = value(Guess(), Guess((1.0, 4.0), 5.0), group_sparsity=0.01, proximal=0.5)
    # 0.01 * 5 + 0.5 / 2 * (2^2 + 3^2)
    torch.testing.assert_close(both - plain, torch.tensor(0.05 + 3.25))


# --- FedPhD's group-norm penalty -----------------------------------------------------------------


def test_the_penalty_is_added() -> None:
    penalised = value(Guess(), group_sparsity=0.01)
    torch.testing.assert_close(penalised - value(Guess()), torch.tensor(0.05), rtol=1e-4, atol=1e-6)
    assert penalised.requires_grad


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
    value(network, received, proximal=0.1).backward()
    # mu * (w - w_g); the norm that is not squared would give mu/2 * (w - w_g) / ||w - w_g|| for each tensor.
    torch.testing.assert_close(network.weight.grad, torch.tensor([0.2, -0.05]))
    torch.testing.assert_close(network.bias.grad, torch.tensor(-0.025))
    assert received.weight.grad is None


def test_the_proximal_term_by_hand() -> None:
    added = value(Guess(), Guess((1.0, 4.5), 2.25), proximal=0.1) - value(Guess())
    torch.testing.assert_close(added, torch.tensor(0.1 / 2 * (4 + 0.25 + 0.0625)), rtol=1e-4, atol=1e-6)


def test_the_squared_distance_of_unets() -> None:
    one, other = build_unet(CONFIG.model, 0), build_unet(CONFIG.model, 1)
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    by_hand = sum(float(((w.double() - w_g.double()) ** 2).sum()) for w, w_g in pairs)
    assert squared_distance(one, other).item() == pytest.approx(by_hand, rel=1e-5)
    assert squared_distance(one, one).item() == 0


def test_the_received_model_is_frozen() -> None:
    received = build_unet(CONFIG.model, 0)
    Objective(DISTANCES["mse"], DIFFUSION, terms(proximal=0.1), Compared(received))
    assert not received.training
    assert not any(p.requires_grad for p in received.parameters())


# --- which terms there are -----------------------------------------------------------------------


def configured(**options: dict[str, object]) -> ObjectiveConfig:
    tree = {"loss": "mse", "control_variates": False, "terms": options}
    return ObjectiveConfig.model_validate(tree)


PROXIMAL = {"kind": "proximal", "weight": 0.1}
SPARSITY = {"kind": "group_sparsity", "weight": 0.1}
LASSO = {"kind": "group_lasso", "weight": 1e-5}
CONTRASTIVE = {"kind": "contrastive", "weight": 1.0, "temperature": 0.5, "keeps_previous": True}


def test_terms_are_added_in_the_order_of_their_names() -> None:
    """... whatever the order of the settings, on which no bit shall depend."""
    config = configured(proximal=PROXIMAL, contrastive=CONTRASTIVE, a_second=PROXIMAL)
    assert list(terms_of(config)) == ["a_second", "contrastive", "proximal"]


def test_a_term_of_weight_0_is_off() -> None:
    off = configured(proximal=PROXIMAL | {"weight": 0}, contrastive=CONTRASTIVE | {"weight": 0.0})
    assert terms_of(off) == {}
    assert not off.keeps_previous


def test_what_each_term_looks_at_and_when() -> None:
    config = configured(group_sparsity=SPARSITY, group_lasso=LASSO, proximal=PROXIMAL, contrastive=CONTRASTIVE)
    facts = {
        name: (term.needs_received, term.keeps_previous, term.needs_features, term.in_sparse_rounds_only)
        for name, term in terms_of(config).items()
    }
    assert facts == {
        "contrastive": (True, True, True, False),
        "group_lasso": (False, False, False, True),
        "group_sparsity": (False, False, False, True),
        "proximal": (True, False, False, False),
    }
    assert config.keeps_previous
    assert not any(term.counts_alone for term in terms_of(config).values())


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("near", {"kind": "proximol", "weight": 1}, r"near\.kind=proximol: .*did you mean proximal\?"),
        ("proximal", PROXIMAL | {"power": 1}, r"proximal\.power=1: .*proximal has no such option; it has .*weight"),
        ("contrastive", CONTRASTIVE | {"temperature": 0}, r"contrastive\.temperature=0: .*greater than 0"),
        ("contrastive", CONTRASTIVE | {"keeps_previous": False}, r"contrastive\.keeps_previous=false: .*True"),
        ("own", {"kind": "fractions:Fraction", "weight": 1}, r"own\.kind=fractions:Fraction: is no subclass of .*Term"),
    ],
)
def test_terms_that_cannot_be_read(name: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=rf"^objective\.terms\.{told}"):
        terms_of(configured(**{name: options}))


# --- what must be given --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["proximal", "contrastive"])
def test_a_term_without_the_received_model_is_an_error(name: str) -> None:
    both = terms_of(configured(proximal=PROXIMAL, contrastive=CONTRASTIVE))
    with pytest.raises(SettingError, match=rf"^objective\.terms\.{name}\.kind={name}: needs the received model"):
        Objective(DISTANCES["mse"], DIFFUSION, {name: both[name]})

"""SCAFFOLD. The sign of the update is the point: with the opposite one, control variates drive clients apart."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from helpers import small_config
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fedphd.client.control_variates import ControlVariates
from fedphd.client.objective import Objective
from fedphd.client.training import train
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network.build import build_unet
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import DISTANCES
from fedphd.common.training.fit import Descent, fit
from fedphd.common.training.seeding import numpy_rng
from fedphd.common.training.session import Session

CPU = torch.device("cpu")
CONFIG = small_config()
STEP = [torch.zeros(1)]  # one batch, of which the quadratics below make no use


def session(**changes: object) -> Session:
    return Session(CONFIG.training.model_copy(update=changes), CPU, seed=0)


class Point(nn.Module):
    """A network that is nothing but its weights."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights))
        self.v = nn.Parameter(torch.tensor(weights))


def descend(
    point: Point,
    control: ControlVariates | None,
    gradient: Tensor,
    rates: list[float],
    clip_norm: float | None = None,
    optimizer: type[torch.optim.Optimizer] = torch.optim.SGD,
) -> None:
    """Train both weights by an objective whose gradient is the same everywhere."""
    rule = optimizer(point.parameters(), lr=1.0, fused=True)
    if control is not None:
        control.follow(rule)
    fit(
        point,
        STEP * len(rates),
        lambda network, _x_0: (network.w * gradient).sum() + (network.v * gradient).sum(),
        Descent(rule, rates.__getitem__, None if control is None else control.correct),
        session(clip_norm=clip_norm),
    )


def variates(w: list[float], v: list[float]) -> dict[str, Tensor]:
    return {"w": torch.tensor(w), "v": torch.tensor(v)}


# --- one edge round ------------------------------------------------------------------------------


def test_two_steps_by_hand() -> None:
    point = Point(10.0)
    control = ControlVariates(point, variates([1.0], [0.0]), variates([4.0], [0.0]))
    descend(point, control, torch.tensor([5.0]), [0.1, 0.1])
    # w: each step takes 5 + 1 - 4 = 2, so y = 10 - 2 * 0.1 * 2 = 9.6
    # and c_k+ = 4 - 1 + (10 - 9.6) / (2 * 0.1) = 5, the gradient. (The opposite sign would give 4 - 1 - 2 = 1.)
    torch.testing.assert_close(point.w.data, torch.tensor([9.6]))
    torch.testing.assert_close(point.v.data, torch.tensor([9.0]))
    assert {name: value.tolist() for name, value in control.result().items()} == {
        "w": [pytest.approx(5.0)],
        "v": [pytest.approx(5.0)],
    }


numbers = st.floats(-10, 10, width=32)
rates = st.floats(2**-7, 1, width=32)


@given(
    st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=3),
    st.lists(rates, min_size=1, max_size=5),
    st.sampled_from([None, 0.5, 5.0]),
)
def test_option_two_for_any_schedule_and_clipping(
    weights: list[tuple[float, float, float, float]], eta: list[float], clip_norm: float | None
) -> None:
    """c_k+ = c_k - c + (x - y) / sum of the rates; for a constant rate, that sum is K * eta."""
    x, c, c_k, gradient = (torch.tensor(column) for column in zip(*weights, strict=True))
    point = Point(*x.tolist())
    control = ControlVariates(point, {"w": c, "v": -c}, {"w": c_k, "v": c})
    descend(point, control, gradient, eta, clip_norm)
    result = control.result()
    # The weights hold the way from x to y with an error of about 1e-6, which the rates' sum divides.
    tolerance = {"rtol": 1e-4, "atol": 1e-5 / sum(eta)}
    torch.testing.assert_close(result["w"], c_k - c + (x - point.w.data) / sum(eta), **tolerance)
    torch.testing.assert_close(result["v"], c + c + (x - point.v.data) / sum(eta), **tolerance)


def test_clipping_bounds_the_corrected_gradient() -> None:
    point = Point(0.0)
    control = ControlVariates(point, variates([3.0], [4.0]), variates([0.0], [0.0]))
    descend(point, control, torch.tensor([0.0]), [1.0], clip_norm=1.0)
    torch.testing.assert_close(-point.w.data, torch.tensor([0.6]))  # 3 and 4 over their norm 5
    torch.testing.assert_close(-point.v.data, torch.tensor([0.8]))
    torch.testing.assert_close(control.result()["w"], torch.tensor([0.6 - 3.0]))


def test_with_adam_the_mean_is_of_what_adam_is_given() -> None:
    point = Point(10.0)
    control = ControlVariates(point, variates([1.0], [0.0]), variates([4.0], [0.0]))
    descend(point, control, torch.tensor([5.0]), [0.1, 0.3], optimizer=torch.optim.Adam)
    torch.testing.assert_close(
        point.w.data, torch.tensor([9.6])
    )  # Adam's steps are its rates, for any constant gradient
    torch.testing.assert_close(control.result()["w"], torch.tensor([5.0]))


def test_parameters_without_control_variates_are_left_alone() -> None:
    point, plain = Point(10.0), Point(10.0)
    control = ControlVariates(point, {"w": torch.tensor([1.0])}, {"w": torch.tensor([4.0])})
    descend(point, control, torch.tensor([5.0]), [0.1])
    descend(plain, None, torch.tensor([5.0]), [0.1])
    assert torch.equal(point.v, plain.v)
    assert not torch.equal(point.w, plain.w)
    assert set(control.result()) == {"w"}


@pytest.mark.parametrize(("c", "c_k"), [({"w": 1.0}, {}), ({}, {"v": 1.0}), ({"x": 1.0}, {"x": 1.0})])
def test_control_variates_that_do_not_fit_are_an_error(c: Mapping[str, float], c_k: Mapping[str, float]) -> None:
    of = [{name: torch.tensor([value]) for name, value in own.items()} for own in (c, c_k)]
    with pytest.raises(ValueError, match="do not fit"):
        ControlVariates(Point(0.0), *of)


# --- over rounds ---------------------------------------------------------------------------------

A, B = (1.0, 4.0), (0.0, 5.0)  # client k minimises a_k/2 (w - b_k)^2; the minimum of their mean is 20 / 5 = 4


def rounds(scaffold: bool, number: int) -> float:
    """Federated rounds with one of two clients each, drawn at random, ten steps of SGD at rate 0.02."""
    x, c, own = torch.zeros(1), torch.zeros(1), [torch.zeros(1), torch.zeros(1)]
    draw = numpy_rng(0, "test", "participation")
    for _ in range(number):
        k = int(draw.integers(2))
        point = Point(float(x))
        optimizer = torch.optim.SGD(point.parameters(), fused=True)
        control = ControlVariates(point, {"w": c}, {"w": own[k]})
        control.follow(optimizer)
        fit(
            point,
            STEP * 10,
            lambda network, _x_0, k=k: A[k] / 2 * (network.w - B[k]).square().sum(),
            Descent(optimizer, lambda _step: 0.02, control.correct if scaffold else None),
            session(clip_norm=None),
        )
        x, new = point.w.detach().clone(), control.result()["w"]
        c, own[k] = c + (new - own[k]) / 2, new  # Algorithm 1, line 17, with |S| / N = 1/2
    return float(x)


def test_clients_of_different_data_meet_at_the_common_minimum_although_half_of_them_take_part() -> None:
    assert rounds(scaffold=True, number=100) == pytest.approx(4.0, abs=1e-3)


def test_without_control_variates_they_do_not() -> None:
    assert abs(rounds(scaffold=False, number=100) - 4.0) > 0.5


# --- a U-Net -------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_a_clients_training_of_a_unet(schedule: str) -> None:
    changes = {"optimizer": "sgd", "lr": 0.5, "warmup_steps": 4, "schedule": schedule, "epochs": 2, "batch_size": 4}
    unet = build_unet(CONFIG.model, 0)
    x = {name: p.detach().clone() for name, p in unet.named_parameters()}
    c, c_k = ({name: torch.full_like(p, value) for name, p in x.items()} for value in (0.002, -0.001))
    control = ControlVariates(unet, c, c_k)
    images = torch.randint(0, 256, (6, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    train(
        unet,
        TrainingSet(images),
        Objective(DISTANCES["mse"], Diffusion(CONFIG.diffusion)),
        replace(session(**changes), edge_rounds=5),
        control=control,
    )
    # Four steps of 20 in the whole run, with warm-up: rates 1/4, 2/4, 3/4 and 4/4 of 0.5, on a line from 1 to 0.
    falling = (1, 1, 1, 1) if schedule == "constant" else (1, 0.95, 0.9, 0.85)
    rates = sum(0.5 * share * fall for share, fall in zip((0.25, 0.5, 0.75, 1), falling, strict=True))
    result = control.result()
    assert set(result) == set(x)
    for name, y in unet.named_parameters():
        expected = c_k[name] - c[name] + (x[name] - y.detach()) / rates
        torch.testing.assert_close(result[name], expected, rtol=1e-3, atol=1e-5)

"""The training loop, on networks whose steps can be worked by hand."""

import shutil
from collections.abc import Callable, Iterable, Iterator

import pytest
import torch
from helpers import small_config
from torch import Tensor, nn

from fedphd.common.training.fit import Descent, TrainingResult, fit, seeded
from fedphd.common.training.session import Session

CPU = torch.device("cpu")
Loss = Callable[[nn.Module, Tensor], Tensor]


class Line(nn.Module):
    """A network of two weights w and v, 1 and 1 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))
        self.v = nn.Parameter(torch.tensor(1.0))


def slope(network: Line, x_0: Tensor) -> Tensor:
    """Gradients 3 and 4 times the batch's mean: of norm 5."""
    return (3 * network.w + 4 * network.v) * x_0.mean()


def session(seed: int = 0, **changes: object) -> Session:
    plain = {"clip_norm": None, "precision": "float32", "compile": False}
    return Session(small_config().training.model_copy(update=plain | changes), CPU, seed)


def run(
    network: nn.Module,
    batches: Iterable[Tensor],
    rates: list[float],
    loss: Loss = slope,
    clip_norm: float | None = None,
    correct: Callable[[], None] | None = None,
) -> TrainingResult:
    descent = Descent(torch.optim.SGD(network.parameters(), lr=99.0), rates.__getitem__, correct)
    return fit(network, batches, loss, descent, session(clip_norm=clip_norm))


def test_every_step_has_its_rate_and_its_batch() -> None:
    network = Line()
    result = run(network, [torch.tensor([1.0]), torch.tensor([2.0])], [0.1, 0.01])
    assert result.steps == 2
    assert network.w.item() == pytest.approx(1 - 0.1 * 3 * 1 - 0.01 * 3 * 2)
    assert network.v.item() == pytest.approx(1 - 0.1 * 4 * 1 - 0.01 * 4 * 2)


def test_the_loss_is_the_mean_per_image() -> None:
    """... so that a last batch of fewer images counts less."""
    batches = [torch.zeros(4), torch.zeros(4), torch.zeros(2)]
    result = run(Line(), batches, [0.1] * 3, lambda network, x_0: network.w * 0 + network.v * 0 + len(x_0))
    assert result.loss == pytest.approx((4 * 4 + 4 * 4 + 2 * 2) / 10)


def test_clipping_bounds_the_norm_of_all_gradients_together() -> None:
    network = Line()
    run(network, [torch.ones(1)], [0.1], clip_norm=0.5)
    assert network.w.item() == pytest.approx(1 - 0.1 * 0.3, rel=1e-5)
    assert network.v.item() == pytest.approx(1 - 0.1 * 0.4, rel=1e-5)


def test_gradients_are_corrected_before_they_are_clipped() -> None:
    network = Line()

    def correct() -> None:
        assert network.w.grad == 3
        network.w.grad -= 3

    run(network, [torch.ones(1)] * 2, [0.1] * 2, clip_norm=0.5, correct=correct)
    assert network.w.item() == 1
    assert network.v.item() == pytest.approx(1 - 2 * 0.1 * 0.5)


def test_gradients_of_one_step_do_not_reach_the_next() -> None:
    network = Line()
    (100 * network.w).backward()  # left over from something else
    run(network, [torch.ones(1)] * 3, [0.1] * 3)
    assert network.w.item() == pytest.approx(1 - 3 * 0.1 * 3)


def test_the_network_is_in_training_mode_and_batches_are_taken_as_they_are_needed() -> None:
    network = Line().eval()
    seen = []

    def batches() -> Iterator[Tensor]:
        for _ in range(3):
            seen.append(network.w.item())
            yield torch.ones(1)

    def loss(line: Line, x_0: Tensor) -> Tensor:
        assert line.training
        return slope(line, x_0)

    run(network, batches(), [0.1] * 3, loss)
    assert seen == pytest.approx([1.0, 0.7, 0.4])


def test_bfloat16() -> None:
    layer = nn.Linear(4, 4)
    kinds = []

    def loss(network: nn.Module, x_0: Tensor) -> Tensor:
        output = network(x_0)
        kinds.append(output.dtype)
        return output.float().mean()

    for precision in ("float32", "auto", "bfloat16"):
        optimizer = torch.optim.Adam(layer.parameters(), fused=True)
        fit(layer, [torch.ones(2, 4)], loss, Descent(optimizer, lambda _: 0.1), session(precision=precision))
    assert kinds == [torch.float32, torch.float32, torch.bfloat16]
    assert layer.weight.dtype == torch.float32


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="needs a compiler")
def test_a_compiled_network_learns_the_same() -> None:
    def loss(network: nn.Module, x_0: Tensor) -> Tensor:
        return network(x_0).square().mean()

    ends = []
    for compiled in (False, True):
        torch.manual_seed(0)
        layer = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(layer.parameters())
        fit(layer, [torch.ones(2, 2)] * 3, loss, Descent(optimizer, lambda _: 0.1), session(compile=compiled))
        ends.append(layer.weight.detach())
    torch.testing.assert_close(ends[0], ends[1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_objective_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        run(Line(), [torch.ones(1)], [0.1], lambda network, x_0: slope(network, x_0) * 0 + value)


def test_weights_that_are_not_finite_are_an_error() -> None:
    """... also where only the last step broke them, so that no loss tells."""
    with pytest.raises(FloatingPointError, match="not finite"):
        run(Line(), [torch.ones(1)], [0.1], lambda network, _x_0: (network.w - 1) * 1e38 * 1e38 + 0 * network.v)


def test_seeded_draws() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with seeded(5, CPU):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    with seeded(5, CPU):
        assert torch.equal(torch.rand(3), first)
    with seeded(6, CPU):
        assert not torch.equal(torch.rand(3), first)


def test_what_is_drawn_follows_from_the_sessions_seed_and_leaves_no_trace() -> None:
    drawn = []

    def batches() -> Iterator[Tensor]:
        yield torch.rand(1)

    def loss(line: Line, x_0: Tensor) -> Tensor:
        drawn.append((x_0.item(), torch.rand(1).item()))
        return slope(line, x_0)

    before = torch.get_rng_state()
    for seed in (5, 5, 6):
        line = Line()
        optimizer = torch.optim.SGD(line.parameters())
        fit(line, batches(), loss, Descent(optimizer, lambda _: 0.1), session(seed))
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(torch.get_rng_state(), before)

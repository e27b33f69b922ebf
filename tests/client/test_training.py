from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import small_config
from torch import Tensor, nn

from fedphd.client.objective import Objective
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.client.training import train
from fedphd.common.config import TrainingConfig
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import pack
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import DISTANCES
from fedphd.common.training.fit import TrainingResult
from fedphd.common.training.session import Session

CONFIG = small_config()
CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (10, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def settings(**changes: object) -> TrainingConfig:
    plain = {"epochs": 1, "batch_size": 4, "lr": 1e-3, "warmup_steps": 0, "schedule": "constant"}
    return CONFIG.training.model_copy(update=plain | {"clip_norm": None, "flip": False} | changes)


class Mirror(nn.Module):
    """A network of one weight w that predicts w * x_t."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(10.0))

    def forward(self, x_t: Tensor, t: Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=self.w * x_t)


class Recorded(Objective):
    """The objective, which also keeps the batches that it saw."""

    def __init__(self) -> None:
        super().__init__(DISTANCES["mse"], Diffusion(CONFIG.diffusion))
        self.batches: list[Tensor] = []

    def __call__(self, unet: nn.Module, x_0: Tensor, labels: Tensor | None = None) -> Tensor:
        self.batches.append(x_0)
        return super().__call__(unet, x_0, labels)


def run(
    network: nn.Module,
    config: TrainingConfig,
    *,
    images: Tensor = IMAGES,
    objective: Objective | None = None,
    store: OptimizerStore | None = None,
    edge_round: int = 0,
    edge_rounds: int = 10,
    seed: int = 0,
    warmup_start: int = 0,
) -> TrainingResult:
    """Train with the parts that a test does not care about filled in."""
    goal = objective or Objective(DISTANCES["mse"], Diffusion(CONFIG.diffusion))
    session = Session(config, CPU, seed, edge_round, edge_rounds, warmup_start)
    return train(network, TrainingSet(images), goal, session, store=store)


def moved(config: TrainingConfig, edge_round: int = 0, warmup_start: int = 0) -> float:
    """How far one step moves the weight. Adam's first step is lr * g / (|g| + 1e-8), so lr for large g."""
    network = Mirror()
    result = run(network, config, images=IMAGES[:4], edge_round=edge_round, warmup_start=warmup_start)
    assert result.steps == 1
    return 10.0 - float(network.w)


# --- steps by hand ----------------------------------------------------------------------------------


def test_the_first_step_is_the_learning_rate() -> None:
    assert moved(settings(lr=1e-2)) == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.parametrize(("edge_round", "share"), [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (500, 1.0)])
def test_warm_up_counts_over_edge_rounds(edge_round: int, share: float) -> None:
    config = settings(lr=1e-2, warmup_steps=10)  # one step in each edge round
    assert moved(config, edge_round) == pytest.approx(share * 1e-2, rel=1e-3)


def test_warm_up_within_an_edge_round() -> None:
    # Three steps with rates 1/6, 2/6 and 3/6 of lr; the gradient keeps its sign and nearly its size.
    network = Mirror()
    result = run(network, settings(lr=1e-2, warmup_steps=6))
    assert result.steps == 3
    assert 10.0 - float(network.w) == pytest.approx(1e-2, rel=0.05)


@pytest.mark.parametrize(("edge_round", "share"), [(3, 0.7), (5, 0.125), (6, 0.2), (8, 0.2)])
def test_warm_up_begins_anew_without_the_schedule(edge_round: int, share: float) -> None:
    """Four steps of warm-up, at first and again from edge round 5, times a line from 1 to 0 over ten edge rounds."""
    config = settings(lr=1e-2, schedule="linear", warmup_steps=4)
    start = 5 if edge_round >= 5 else 0
    assert moved(config, edge_round, start) == pytest.approx(share * 1e-2, rel=1e-3)


@pytest.mark.parametrize(("edge_round", "share"), [(0, 1.0), (1, 0.9), (5, 0.5), (9, 0.1)])
def test_a_linear_schedule_falls_over_the_whole_run(edge_round: int, share: float) -> None:
    config = settings(lr=1e-2, schedule="linear")  # one step in each of ten edge rounds
    assert moved(config, edge_round) == pytest.approx(share * 1e-2, rel=1e-3)


def test_warm_up_and_schedule_multiply() -> None:
    config = settings(lr=1e-2, schedule="linear", warmup_steps=4)
    assert moved(config, edge_round=1) == pytest.approx(0.5 * 0.9 * 1e-2, rel=1e-3)


def test_clipping() -> None:
    # The one gradient is cut to 1e-8, so Adam's first step is lr * 1e-8 / (1e-8 + 1e-8) = lr / 2.
    assert moved(settings(lr=1e-2, clip_norm=1e-8)) == pytest.approx(0.5e-2, rel=1e-3)
    assert moved(settings(lr=1e-2, clip_norm=1e6)) == pytest.approx(1e-2, rel=1e-3)


def test_sgd_steps_by_the_gradient() -> None:
    class Slope(Recorded):
        def __call__(self, unet: nn.Module, x_0: Tensor, labels: Tensor | None = None) -> Tensor:
            return 7 * unet.w

    network = Mirror()
    run(network, settings(optimizer="sgd", lr=1e-2, epochs=2), objective=Slope())  # six steps, without momentum
    assert 10.0 - float(network.w) == pytest.approx(6 * 1e-2 * 7, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_optimizer_is_kept(optimizer: str, tmp_path: Path) -> None:
    """... plain SGD too, which has nothing to remember: two edge rounds are then the same with a store or without."""
    ends = []
    for folder in (tmp_path, None):
        network = Mirror()
        for edge_round in range(2):
            store = folder and OptimizerStore(folder, "structure", [edge_round])
            run(network, settings(optimizer=optimizer), store=store, edge_round=edge_round)
        ends.append(float(network.w))
    assert (ends[0] == ends[1]) == (optimizer == "sgd")


# --- batches ----------------------------------------------------------------------------------------


def test_each_image_once_in_each_epoch_and_in_another_order() -> None:
    objective = Recorded()
    result = run(Mirror(), settings(epochs=3), objective=objective)
    assert [len(batch) for batch in objective.batches] == [4, 4, 2] * 3
    assert result.steps == 9
    own = {image.numpy().tobytes(): i for i, image in enumerate(IMAGES.float() / 127.5 - 1)}
    epochs = [
        [own[image.numpy().tobytes()] for batch in objective.batches[e : e + 3] for image in batch] for e in (0, 3, 6)
    ]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_pixels_are_scaled_to_minus_one_to_one() -> None:
    objective = Recorded()
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    run(Mirror(), settings(), images=black_and_white, objective=objective)
    assert sorted(set(torch.cat(objective.batches).flatten().tolist())) == [-1.0, 1.0]


def test_flips_mirror_some_images_left_to_right() -> None:
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., 0] = 255
    seen = set()
    for flip in (False, True):
        objective = Recorded()
        run(Mirror(), settings(flip=flip), images=image.expand(40, 1, 8, 8), objective=objective)
        batch = torch.cat(objective.batches)
        left = int((batch[:, 0, :, 0] == 1).all(1).sum())
        right = int((batch[:, 0, :, 7] == 1).all(1).sum())
        assert left + right == 40
        seen.add((flip, right > 0, left > 0))
    assert seen == {(False, False, True), (True, True, True)}


# --- determinism ------------------------------------------------------------------------------------


def trained(seed: int, edge_round: int = 0, **changes: object) -> str:
    model = CONFIG.model.model_copy(update={"unet": CONFIG.model.unet | {"dropout": 0.1}})
    network = build_unet(model, 0)
    run(network, settings(flip=True, **changes), seed=seed, edge_round=edge_round)
    return pack(network.state_dict()).hash


def test_the_seed_decides_every_bit() -> None:
    torch.manual_seed(1)
    first = trained(seed=5)
    torch.manual_seed(2)
    assert trained(seed=5) == first
    assert trained(seed=6) != first


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    run(Mirror(), settings(flip=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_training_lowers_the_loss() -> None:
    network = build_unet(CONFIG.model, 0)
    first = run(network, settings(epochs=2, lr=2e-3), seed=1).loss
    for edge_round in range(1, 8):
        last = run(network, settings(epochs=2, lr=2e-3), seed=1, edge_round=edge_round).loss
    assert last < 0.7 * first


# --- failures ---------------------------------------------------------------------------------------


def test_a_diverging_objective_is_an_error() -> None:
    with pytest.raises(FloatingPointError, match=r"are not finite after edge round 7; lower training.lr=1e\+30"):
        run(Mirror(), settings(lr=1e30), edge_round=7)


def test_what_made_a_diverging_objective_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError):
        run(Mirror(), settings(lr=1e30), store=OptimizerStore(tmp_path, "structure", [0]))
    assert list(tmp_path.rglob("*.safetensors")) == []

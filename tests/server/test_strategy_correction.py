"""FedDDPM at the root: when a new global model is fine-tuned, and that this is remembered."""

from pathlib import Path

import pytest
import torch
from helpers import Crowd, events, small_config
from small_root import HOMES, Run, crowd

from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.server.correction import Correction

START = pack(build_unet(small_config().model, 0).state_dict())
QUICK = ["correction.steps=1", "correction.batch_size=4", "correction.lr=0.01"]
EACH = ["correction=each_round", *QUICK]
ONCE = ["correction=once", *QUICK, "correction.window=1", "correction.threshold=0.02"]


def images() -> TrainingSet:
    pixels = torch.arange(8 * 64, dtype=torch.float32).reshape(8, 1, 8, 8) % 251
    return TrainingSet(pixels.to(torch.uint8))


def correction(run: Run) -> Correction:
    return Correction(run.config, images, run.ledger)


def run_of(folder: Path, *overrides: str, corrected: bool = True, start: PackedModel = START) -> Run:
    """Make a run whose clients change little, and always tell the same losses: (1, 2, 3, 4), 2.75 in the mean."""
    clients = Crowd(crowd().counts, [0.001] * 4)
    return Run(folder, HOMES, *overrides, start=start, clients=clients, correction=correction if corrected else None)


def corrected_rounds(run: Run) -> list[object]:
    return [event["round"] for event in events(run.ledger, "correct")]


def test_every_new_model_is_fine_tuned(tmp_path: Path) -> None:
    run = run_of(tmp_path, *EACH)
    run.rounds(1)
    plain = run_of(tmp_path / "plain", corrected=False)
    plain.rounds(1)
    assert run.state.model.hash == correction(run).apply(plain.state.model, 1).hash != plain.state.model.hash
    run.rounds(1)
    assert corrected_rounds(run)[:1] + corrected_rounds(run)[2:] == [1, 2]  # the second is this test's own
    assert (run.state.corrected_at, run.state.losses) == (2, [2.75, 2.75])


def test_the_fine_tuned_model_is_the_one_that_goes_on(tmp_path: Path) -> None:
    run = run_of(tmp_path, *EACH, "ema_decay=0.5")
    run.rounds(1)
    assert run.state.ema is run.state.model
    assert run.orders()[0].download.model.decode().hash == run.state.model.hash
    assert [event["event"] for event in events(run.ledger, "correct", "commit")] == ["correct", "commit"]


def test_once_when_learning_is_slow(tmp_path: Path) -> None:
    """The loss stays at 2.75: slow as soon as two windows of one round each are over."""
    run = run_of(tmp_path, *ONCE)
    run.rounds(4)
    assert corrected_rounds(run) == [2]
    assert (run.state.corrected_at, run.state.losses) == (2, [2.75] * 4)


@pytest.mark.parametrize(("losses", "rounds"), [([2.77], [4]), ([2.9], [5])])
def test_the_loss_of_the_present_round_counts(tmp_path: Path, losses: list[float], rounds: list[int]) -> None:
    """2.77 -> 2.75 is a fall by 0.7 %, 2.9 -> 2.75 one by 5 %; the threshold is 2 %."""
    run = run_of(tmp_path, *ONCE)
    run.state.round, run.state.losses = 3, [*losses]
    run.rounds(2)
    assert corrected_rounds(run) == rounds


def test_a_resumed_run_is_not_corrected_a_second_time(tmp_path: Path) -> None:
    run = run_of(tmp_path, *ONCE)
    run.state.round, run.state.losses, run.state.corrected_at = 3, [2.75, 2.75, 2.75], 2
    run.rounds(2)
    assert corrected_rounds(run) == []
    assert run.state.corrected_at == 2


def test_a_method_without_correction(tmp_path: Path) -> None:
    run = run_of(tmp_path, corrected=False)
    run.rounds(2)
    assert (corrected_rounds(run), run.state.corrected_at) == ([], None)
    assert run.state.losses == [2.75, 2.75]


def test_a_pruned_model_is_fine_tuned_as_well(tmp_path: Path) -> None:
    overrides = ["pruning=sparse_then_prune", "pruning.sparse_rounds=1", "rounds=3"]
    run = run_of(tmp_path, *EACH, *overrides)
    run.rounds(2)
    assert corrected_rounds(run) == [1, 2]
    assert run.state.model.structure.size < START.structure.size

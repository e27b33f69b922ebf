import numpy as np
import pytest
from helpers import events, small_config

from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.run.ledger import Ledger
from fedphd.server.pruning_schedule import PruningSchedule, load_unet
from fedphd.server.state import GlobalState

SPARSE = ["pruning=sparse_then_prune", "pruning.sparse_rounds=3", "rounds=6", "pruning.ratio=0.25"]


def schedule(ledger: Ledger, *overrides: str) -> PruningSchedule:
    return PruningSchedule(small_config(*overrides), ledger)


def state(committed: int, ema: bool = True) -> GlobalState:
    model = pack(build_unet(small_config().model, 0).state_dict())
    average = PackedModel(model.structure, model.vector * np.float32(0.5))
    return GlobalState(committed, model, average if ema else None)


@pytest.mark.parametrize(
    ("overrides", "phases"),
    [
        (["pruning=none"], ["dense"] * 6),
        (["pruning=at_start"], ["pruned"] * 6),
        (SPARSE, ["sparse"] * 3 + ["pruned"] * 3),
    ],
)
def test_phases(ledger: Ledger, overrides: list[str], phases: list[str]) -> None:
    assert [schedule(ledger, *overrides).phase(root_round) for root_round in range(1, 7)] == phases


@pytest.mark.parametrize(("overrides", "moment"), [(["pruning=none"], None), (["pruning=at_start"], 0), (SPARSE, 3)])
def test_the_model_is_pruned_once_at_its_moment(ledger: Ledger, overrides: list[str], moment: int | None) -> None:
    for committed in range(6):
        now = state(committed)
        before = now.model
        schedule(ledger, *overrides).apply(now)
        assert (now.model.structure != before.structure) == (committed == moment)
    assert len(events(ledger, "prune")) == (moment is not None)


def test_model_and_average_are_pruned_alike(ledger: Ledger) -> None:
    pruning, now = schedule(ledger, *SPARSE), state(3)
    dense = now.model.structure
    pruning.apply(now)
    assert now.ema is not None
    assert now.ema.structure == now.model.structure
    assert now.model.structure.size < dense.size
    # The average was half of the model everywhere, and still is: the same channels were kept.
    np.testing.assert_array_equal(now.ema.vector, now.model.vector * np.float32(0.5))
    load_unet(small_config(), now.model)
    [prune] = events(ledger, "prune")
    assert (prune["round"], prune["ratio"]) == (3, 0.25)
    assert (prune["parameters_before"], prune["parameters_after"]) == (dense.size, now.model.structure.size)
    assert (prune["structure_before"], prune["structure_after"]) == (dense.id, now.model.structure.id)
    assert prune["macs_after"] < prune["macs_before"]


def test_without_an_average_there_is_none_to_prune(ledger: Ledger) -> None:
    now = state(3, ema=False)
    schedule(ledger, *SPARSE).apply(now)
    assert now.ema is None

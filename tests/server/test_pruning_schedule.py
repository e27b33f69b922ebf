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


def test_the_model_is_pruned_and_its_average_starts_anew(ledger: Ledger) -> None:
    pruning, now = schedule(ledger, *SPARSE), state(3)
    dense = now.model.structure
    pruning.apply(now)
    assert now.ema is None and now.best is now.model
    assert now.model.structure.size < dense.size
    load_unet(small_config(), now.model)
    [prune] = events(ledger, "prune")
    assert (prune["round"], prune["ratio"]) == (3, 0.25)
    assert (prune["parameters_before"], prune["parameters_after"]) == (dense.size, now.model.structure.size)
    assert (prune["structure_before"], prune["structure_after"]) == (dense.id, now.model.structure.id)
    assert prune["macs_after"] < prune["macs_before"]


def test_at_other_moments_the_average_stays(ledger: Ledger) -> None:
    now = state(2)
    average = now.ema
    schedule(ledger, *SPARSE).apply(now)
    assert now.ema is average


@pytest.mark.parametrize(
    ("overrides", "since"),
    [
        (["pruning=none"], [0, 1, 2, 3, 4, 5]),
        (["pruning=at_start"], [0, 1, 2, 3, 4, 5]),
        (SPARSE, [0, 1, 2, 0, 1, 2]),
    ],
)
def test_rounds_are_counted_from_the_pruning(ledger: Ledger, overrides: list[str], since: list[int]) -> None:
    pruning = schedule(ledger, *overrides)
    assert [pruning.rounds_since(committed) for committed in range(6)] == since

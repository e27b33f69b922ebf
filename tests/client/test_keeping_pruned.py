"""After a pruning, what a client kept loses the same channels as the network did."""

from pathlib import Path

import pytest
import torch
from helpers import SHARED, download, small_config

from fedphd.client.keeping import Keeper
from fedphd.common.config import Config
from fedphd.common.keeping.missing import MissingStateError
from fedphd.common.network.build import build_unet
from fedphd.common.network.lineage import NO_PRUNING, Lineage
from fedphd.common.network.packing import PackedModel, pack, unpack
from fedphd.common.network.pruning import Pruning, prune, prune_like
from fedphd.common.network.rebuild import rebuild_unet
from fedphd.common.wire.messages import TrainOrder
from fedphd.common.wire.parts import PARTS, Parts, restrict

MODEL = small_config().model
METHODS = ["objective=contrastive", "objective.control_variates=true", "codec=int8"]


def network(seed: int) -> PackedModel:
    """Make a dense network of which every tensor is random, biases too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = build_unet(MODEL, 0).state_dict()
        return pack({name: torch.randn(tensor.shape) for name, tensor in state.items()})


TRAINED = network(1)


def pruned_like(model: PackedModel, pruning: Pruning) -> PackedModel:
    unet = rebuild_unet(MODEL, model.structure)
    unet.load_state_dict(unpack(model))
    return pack(prune_like(unet, pruning).state_dict())


@pytest.fixture(scope="module")
def pruning() -> Pruning:
    return prune(build_unet(MODEL, 0), 0.25)[1]


@pytest.fixture(scope="module")
def sent(pruning: Pruning) -> PackedModel:
    """Give the pruned network that comes after the pruning."""
    return pruned_like(network(2), pruning)


def keeper(
    folder: Path, kind: str, model: PackedModel, edge_round: int, lineage: Lineage = NO_PRUNING, parts: Parts = PARTS
) -> Keeper:
    config: Config = small_config(f"exchange={kind}", *METHODS)
    down = download(model, parts, SHARED[kind])
    root_round = edge_round // 2 + 1
    order = TrainOrder(down, "edge-0", root_round, edge_round, False, parts, lineage, counted=2 * (root_round - 1))
    return Keeper(folder, config, order)


def train_densely(folder: Path, kind: str) -> None:
    """Keep `TRAINED` in every way that there is; c_k becomes it as well."""
    one = keeper(folder, kind, network(0), 1)
    one.receive()
    one.report(TRAINED, SHARED[kind])
    c_k = one.control(one.received.structure)
    one.report_control(c_k, TRAINED.select(c_k.structure), SHARED[kind])


@pytest.mark.parametrize("kind", ["udec", "ulatdec", "full"])
def test_kept_states_are_pruned_as_the_network(tmp_path: Path, kind: str, pruning: Pruning, sent: PackedModel) -> None:
    train_densely(tmp_path, kind)
    dense = keeper(tmp_path, kind, network(0), 2)
    narrow = keeper(tmp_path, kind, sent, 2, Lineage(pruning))
    shared = restrict(TRAINED.structure, SHARED[kind])
    narrow_shared = restrict(sent.structure, SHARED[kind])
    for name, wide, thin in [
        ("residual", shared, narrow_shared),
        ("previous", TRAINED.structure, sent.structure),
        ("control", shared, narrow_shared),
    ]:
        before = dense.control(wide) if name == "control" else dense.restore(name, wide)
        after = narrow.control(thin) if name == "control" else narrow.restore(name, thin)
        assert before is not None and after is not None, name
        assert before.vector.any()
        # What was not kept is zero here, and has no say in what remains of the rest.
        expected = pruned_like(PackedModel(TRAINED.structure, 0 * TRAINED.vector).overlay(before), pruning)
        assert after.hash == expected.select(thin).hash, name


@pytest.mark.parametrize("kind", ["udec", "ulatdec"])
@pytest.mark.parametrize("whole", [True, False])
def test_its_own_parts_are_joined_with_the_pruned_network(
    tmp_path: Path, kind: str, whole: bool, pruning: Pruning, sent: PackedModel
) -> None:
    train_densely(tmp_path, kind)
    parts = PARTS if whole else SHARED[kind]
    received = keeper(tmp_path, kind, sent, 2, Lineage(pruning), parts).receive()
    own = pruned_like(TRAINED, pruning)
    travels = restrict(sent.structure, SHARED[kind])
    assert received.hash == own.overlay(sent.select(travels)).hash
    assert received.hash != sent.hash


def test_it_draws_with_what_it_trained_pruned_as_the_network(
    tmp_path: Path, pruning: Pruning, sent: PackedModel
) -> None:
    train_densely(tmp_path, "udec")
    model, trained = keeper(tmp_path, "udec", sent, 2, Lineage(pruning), SHARED["udec"]).to_draw_with()
    assert (model.hash, trained) == (pruned_like(TRAINED, pruning).hash, True)


def test_states_of_a_network_that_was_not_pruned_so_are_not_used(
    tmp_path: Path, pruning: Pruning, sent: PackedModel
) -> None:
    train_densely(tmp_path, "udec")
    foreign = Pruning(pruning.ratio, sent.structure.id, pruning.history)
    for told in (NO_PRUNING, Lineage(foreign)):
        one = keeper(tmp_path, "udec", sent, 2, told, SHARED["udec"])
        assert one.restore("previous", sent.structure) is None
        with pytest.raises(MissingStateError):
            one.receive()
        assert keeper(tmp_path, "udec", sent, 2, told).receive().hash == sent.hash

"""What belongs to the network before a pruning loses the same channels; and what a pruning reads like."""

import json
import re
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CONVNEXT, SMALL

from fedphd.common.config import ModelConfig
from fedphd.common.network.build import build_unet, dense_structure
from fedphd.common.network.lineage import NO_PRUNING, Lineage
from fedphd.common.network.packing import pack
from fedphd.common.network.pruning import Pruning, prune, prune_like
from fedphd.common.network.structure import Structure
from fedphd.common.wire.parts import BOTTLENECK, DECODER, ENCODER, Parts, restrict

NETWORKS = {"unet2d": SMALL, "convnext": CONVNEXT}
MODEL = NETWORKS["unet2d"]
DENSE = dense_structure(MODEL)
PRUNING = Pruning(0.3, DENSE.id, (("conv_in", True, (0, 3)), ("mid_block.resnets.0.conv1", False, ())))
SOUND = {"ratio": 0.3, "structure": DENSE.id, "history": [["conv_in", True, [0, 3]]]}


@pytest.fixture(scope="module", params=NETWORKS)
def pruned(request: pytest.FixtureRequest) -> tuple[ModelConfig, Pruning, Structure]:
    """Prune a network: its options, what was removed, the structure that is left."""
    model = NETWORKS[request.param]
    narrower, pruning = prune(build_unet(model, seed=0), 0.25)
    return model, pruning, Structure.of(narrower.state_dict())


# --- tensors ----------------------------------------------------------------------------------------


def test_a_whole_network_is_pruned_as_another_of_its_structure(pruned: tuple[ModelConfig, Pruning, Structure]) -> None:
    model, pruning, _ = pruned
    other = build_unet(model, seed=1)  # e.g. a client's last local model
    dense = Structure.of(other.state_dict()).id
    tensors = Lineage(pruning).prune(other.state_dict(), dense, model)
    assert pack(tensors).hash == pack(prune_like(other, pruning).state_dict()).hash


@pytest.mark.parametrize("parts", [(ENCODER,), (BOTTLENECK,), (DECODER,), (ENCODER, BOTTLENECK)])
def test_some_parts_are_pruned_as_in_the_whole_network(
    pruned: tuple[ModelConfig, Pruning, Structure], parts: Parts
) -> None:
    model, pruning, narrow = pruned
    other = build_unet(model, seed=1)
    own = restrict(dense_structure(model), parts)
    state = {name: tensor for name, tensor in other.state_dict().items() if name in own.shapes}
    tensors = Lineage(pruning).prune(state, dense_structure(model).id, model)
    assert Structure.of(tensors) == restrict(narrow, parts)
    whole = pack(prune_like(other, pruning).state_dict())
    assert pack(tensors).hash == whole.select(restrict(narrow, parts)).hash


def test_what_is_no_network_is_pruned_like_one(pruned: tuple[ModelConfig, Pruning, Structure]) -> None:
    """Control variates and rounding errors: of the tensors' shapes, perhaps not finite, and left as they are."""
    model, pruning, narrow = pruned
    dense = dense_structure(model)
    numbers = np.arange(dense.size, dtype=np.float32)
    numbers[::7] = np.nan
    offsets = np.cumsum([0, *(int(np.prod(shape)) for _, shape in dense.tensors)])
    state = {
        name: torch.from_numpy(numbers[start : start + int(np.prod(shape))].reshape(shape))
        for (name, shape), start in zip(dense.tensors, offsets[:-1], strict=True)
    }
    before = {name: tensor.clone() for name, tensor in state.items()}
    tensors = Lineage(pruning).prune(state, dense.id, model)
    assert Structure.of(tensors) == narrow
    for name, tensor in tensors.items():  # what stays are numbers of the same tensor
        assert np.isin(tensor[~tensor.isnan()].numpy(), before[name].numpy()).all()
    assert all(torch.equal(state[name].nan_to_num(-1.0), before[name].nan_to_num(-1.0)) for name in state)


def test_tensors_of_another_network_give_nothing() -> None:
    _, pruning = prune(build_unet(MODEL, seed=0), 0.25)
    lineage, state = Lineage(pruning), build_unet(MODEL, seed=1).state_dict()
    assert lineage.prune(state, DENSE.id, MODEL).keys() == state.keys()
    assert lineage.prune({}, DENSE.id, MODEL) == {}
    assert NO_PRUNING.prune(state, DENSE.id, MODEL) == {}
    assert lineage.prune(state, "0123456789abcdef", MODEL) == {}  # they belong to another network
    assert lineage.prune(state | {"more": torch.zeros(1)}, DENSE.id, MODEL) == {}
    other = Lineage(replace(pruning, structure="0123456789abcdef"))
    assert other.prune(state, DENSE.id, MODEL) == {}  # another network was pruned
    assert lineage.prune(state, DENSE.id, NETWORKS["convnext"]) == {}


# --- the text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pruning", [None, PRUNING, Pruning(0.5, "s", ())])
def test_a_lineage_reads_back(pruning: Pruning | None) -> None:
    assert Lineage.from_json(Lineage(pruning).to_json()) == Lineage(pruning)


def test_no_pruning_is_null() -> None:
    assert NO_PRUNING.to_json() == "null"


@pytest.mark.parametrize(
    "changed",
    [
        [],
        3,
        SOUND | {"ratio": "half"},
        SOUND | {"ratio": None},
        SOUND | {"structure": 7},
        SOUND | {"history": None},
        SOUND | {"history": [["conv_in", True]]},
        SOUND | {"history": [["conv_in", True, [0.5]]]},
        SOUND | {"history": [["conv_in", True, ["x" * 9999]]]},
        SOUND | {"history": [[7, True, [0]]]},
        {key: value for key, value in SOUND.items() if key != "history"},
    ],
)
def test_other_json_is_no_pruning(changed: object) -> None:
    with pytest.raises(ValueError, match=re.compile("^not a pruning: .{1,200}$")):
        Lineage.from_json(json.dumps(changed))


@pytest.mark.parametrize("text", ["", "nul", "{", "[" * 100_000, "NaN", "\ud800"])
def test_other_text_is_no_pruning(text: str) -> None:
    with pytest.raises(ValueError):
        Lineage.from_json(text)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(ValueError):
        assert Lineage.from_json(text) == NO_PRUNING

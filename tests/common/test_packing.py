from importlib.resources import files

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.common.config import ModelConfig
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack, unpack
from fedphd.common.network.pruning import prune
from fedphd.common.network.rebuild import rebuild_unet
from fedphd.common.network.structure import Structure

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([7.0]), "scale": torch.tensor(8.0)}


def test_tensors_lie_one_after_another() -> None:
    model = pack(STATE)
    np.testing.assert_array_equal(model.vector, np.arange(9, dtype=np.float32)[[0, 1, 2, 3, 4, 5, 7, 8]])
    assert model.vector.dtype == np.float32
    assert model.structure.tensors == (("a.weight", (2, 3)), ("a.bias", (1,)), ("scale", ()))


def test_unpacking_gives_the_state_back() -> None:
    back = unpack(pack(STATE))
    assert list(back) == list(STATE)
    for name, tensor in STATE.items():
        assert torch.equal(back[name], tensor)


def test_unpacked_tensors_own_their_memory() -> None:
    model = pack(STATE)
    model.vector.flags.writeable = False
    unpack(model)["a.weight"].zero_()
    assert model.vector[1] == 1.0


def test_half_precision_becomes_float32() -> None:
    back = unpack(pack({"w": torch.tensor([1.5, -2.0], dtype=torch.bfloat16, requires_grad=True)}))
    assert torch.equal(back["w"], torch.tensor([1.5, -2.0]))


def test_the_hash_tells_bits_and_structure_apart() -> None:
    model = pack(STATE)
    assert pack({name: tensor.clone() for name, tensor in STATE.items()}).hash == model.hash
    changed = model.vector.copy()
    changed[0] = -0.0
    assert PackedModel(model.structure, changed).hash != model.hash  # 0.0 == -0.0, but not bit for bit
    flat = Structure((("a.weight", (6,)), ("a.bias", (1,)), ("scale", ())))
    assert PackedModel(flat, model.vector).hash != model.hash


DIGITS = ModelConfig.model_validate(yaml.safe_load((files("conf") / "model" / "digits8.yaml").read_text())["model"])


@settings(deadline=None, max_examples=6)
@given(st.floats(0.01, 0.75), st.integers(0, 2**32 - 1))  # GroupNorm's groups have 4 channels: beyond 0.75 none stays
def test_pruned_packed_unpacked_and_rebuilt_it_is_the_same_network(ratio: float, seed: int) -> None:
    pruned, _ = prune(build_unet(DIGITS, seed), ratio)
    model = pack(pruned.state_dict())
    assert model.structure.size < pack(build_unet(DIGITS, seed).state_dict()).structure.size
    rebuilt = rebuild_unet(DIGITS, Structure.from_json(model.structure.to_json()))
    rebuilt.load_state_dict(unpack(model))
    assert pack(rebuilt.state_dict()).hash == model.hash
    x_t, t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(seed)), torch.tensor([3, 700])
    with torch.no_grad():
        assert torch.equal(rebuilt(x_t, t).sample, pruned(x_t, t).sample)


# --- some of the tensors ----------------------------------------------------------------------------

NUMBERS = PackedModel(Structure((("a", (2,)), ("b", ()), ("c", (1, 3)))), np.arange(6, dtype=np.float32))
SOME = PackedModel(Structure((("a", (2,)), ("c", (1, 3)))), np.float32([10, 11, 12, 13, 14]))


def test_tensors_are_selected_by_name() -> None:
    np.testing.assert_array_equal(NUMBERS.select(SOME.structure).vector, [0, 1, 3, 4, 5])
    turned = Structure((("c", (1, 3)), ("b", ())))
    np.testing.assert_array_equal(NUMBERS.select(turned).vector, [3, 4, 5, 2])
    assert NUMBERS.select(NUMBERS.structure) is NUMBERS
    with pytest.raises(KeyError, match="d"):
        NUMBERS.select(Structure((("d", ()),)))


def test_tensors_are_replaced_by_name_and_the_others_stay() -> None:
    np.testing.assert_array_equal(NUMBERS.overlay(SOME).vector, [10, 11, 2, 12, 13, 14])
    np.testing.assert_array_equal(NUMBERS.vector, np.arange(6))  # left as it was
    turned = PackedModel(Structure((("c", (1, 3)), ("a", (2,)))), np.float32([7, 8, 9, 1, 2]))
    np.testing.assert_array_equal(NUMBERS.overlay(turned).vector, [1, 2, 2, 7, 8, 9])
    other = PackedModel(NUMBERS.structure, np.zeros(6, np.float32))
    assert NUMBERS.overlay(other) is other


@pytest.mark.parametrize(
    "other",
    [
        PackedModel(Structure((("d", (2,)),)), np.zeros(2, np.float32)),
        PackedModel(Structure((("a", (3,)),)), np.zeros(3, np.float32)),
    ],
)
def test_what_does_not_fit_replaces_nothing(other: PackedModel) -> None:
    with pytest.raises((KeyError, ValueError)):
        NUMBERS.overlay(other)


@given(st.data())
def test_what_was_selected_and_laid_over_is_there(data: st.DataObject) -> None:
    shapes = data.draw(st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=6))
    structure = Structure(tuple((f"t{index}", shape) for index, shape in enumerate(shapes)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    one, two = (PackedModel(structure, rng.random(structure.size, np.float32)) for _ in range(2))
    kept = data.draw(st.sets(st.sampled_from(range(len(shapes))), min_size=1))
    some = Structure(tuple(tensor for index, tensor in enumerate(structure.tensors) if index in kept))
    mixed = one.overlay(two.select(some))
    assert mixed.select(some).hash == two.select(some).hash
    assert mixed.overlay(one.select(some)).hash == one.hash
    assert mixed.overlay(two).hash == two.hash


# --- structure --------------------------------------------------------------------------------------

SHAPES = st.lists(st.integers(1, 5), max_size=4).map(tuple)
STRUCTURES = st.dictionaries(st.text(max_size=8), SHAPES, max_size=5).map(
    lambda shapes: Structure(tuple(shapes.items()))
)


@settings(deadline=None)
@given(STRUCTURES, STRUCTURES)
def test_structures_travel_as_json_and_have_ids_of_their_own(a: Structure, b: Structure) -> None:
    assert Structure.from_json(a.to_json()) == a
    assert (a.id == b.id) == (a == b)
    assert len(a.id) == 16
    assert a.size == sum(int(np.prod(shape)) for shape in a.shapes.values())


def test_the_order_of_tensors_belongs_to_the_structure() -> None:
    a, b = Structure((("x", (1,)), ("y", (2,)))), Structure((("y", (2,)), ("x", (1,))))
    assert a.id != b.id


def test_the_structure_of_a_state() -> None:
    assert Structure.of({"w": np.zeros((2, 3)), "t": torch.zeros(4)}).tensors == (("w", (2, 3)), ("t", (4,)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        '["w"]',
        '[["w"]]',
        '[["w", 3]]',
        '[["w", [0]]]',
        '[["w", [-1]]]',
        '[["w", [1.0]]]',
        '[["w", [true]]]',
        "[[3, [3]]]",
        '[["w", [3], 1]]',
        '[["w", [1]], ["w", [2]]]',
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
    ],
)
def test_text_that_is_no_structure(text: str) -> None:
    with pytest.raises(ValueError):
        Structure.from_json(text)

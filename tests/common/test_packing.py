import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.packing import PackedModel, pack, unpack
from common.structure import Structure

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

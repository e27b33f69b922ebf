import tracemalloc
from importlib.resources import files
from itertools import product

import numpy as np
import pytest
import torch
import yaml
import zstandard
from diffusers import UNet2DModel
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import CODECS, CodecError, coded_bytes, read_stype
from fedphd.common.wire.codec.coded import CodedModel, code, code_with_feedback

LARGEST_CODE = {"int8": 127, "int4": 7}
FLOATS = ("float32", "float16", "bfloat16")
KINDS = (*FLOATS, *LARGEST_CODE)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
ORDINARY = st.floats(-100, 100, width=32)
SHAPES = st.lists(st.lists(st.integers(1, 5), max_size=4).map(tuple), max_size=5)
STRUCTURES = SHAPES.map(lambda shapes: Structure(tuple((f"t{i}", shape) for i, shape in enumerate(shapes))))


def codec(kind, zstd=None):
    return CODECS.read({"kind": kind, "of": "weights", "error_feedback": False, "zstd": zstd})


def structure_of(*shapes):
    return Structure(tuple((f"t{i}", shape) for i, shape in enumerate(shapes)))


def rows(*channels):
    """Make a model of one matrix."""
    matrix = np.array(channels, np.float32)
    return PackedModel(structure_of(matrix.shape), matrix.reshape(-1))


@st.composite
def models(draw, numbers=FINITE, structures=STRUCTURES):
    structure = draw(structures)
    return PackedModel(structure, draw(arrays(np.float32, structure.size, elements=numbers)))


# --- there and back ---------------------------------------------------------------------------------


def error_bound(kind, tensor):
    """Largest error of each number of a tensor, in float64: half a step of its kind's grid there."""
    magnitude = np.abs(tensor.astype(np.float64))
    if kind in FLOATS:
        digits, smallest_step = {"float32": (np.inf, 0), "float16": (11, 2.0**-24), "bfloat16": (8, 2.0**-133)}[kind]
        rounding = np.maximum(magnitude * 2.0**-digits, smallest_step / 2)
        return np.maximum(rounding, magnitude - 65504) if kind == "float16" else rounding
    if tensor.ndim < 2 or tensor[0].size == 1:
        return np.zeros_like(magnitude)
    scale = magnitude.reshape(len(tensor), -1).max(axis=1) / LARGEST_CODE[kind]
    # The 1e-4 is for quotient and product in float32. A scale that float32 has only as a denormal counts as 0.
    bound = np.where(scale > np.finfo(np.float32).tiny, scale * 0.5001, scale * LARGEST_CODE[kind])
    return np.broadcast_to(bound.reshape(-1, *[1] * (tensor.ndim - 1)), tensor.shape)


@settings(deadline=None)
@given(models(), st.sampled_from(KINDS), st.sampled_from([None, 1, 3]))
def test_decoding_gives_shapes_and_dtype_back_and_bounds_the_error(model, kind, zstd):
    coded = code(model, codec(kind, zstd))
    back = coded.decode()
    assert back.structure == model.structure
    assert (back.vector.dtype, back.vector.shape) == (np.float32, model.vector.shape)
    for (_, sent), (_, got) in zip(model.arrays(), back.arrays(), strict=True):
        assert (np.abs(got.astype(np.float64) - sent) <= error_bound(kind, sent)).all()
    assert code(model, codec(kind, zstd)) == coded  # the same bytes


@settings(deadline=None)
@given(models())
def test_float32_is_exact_bit_for_bit_and_a_read_only_view(model):
    coded = code(model, codec("float32"))
    back = coded.decode()
    assert back.hash == model.hash
    assert not back.vector.flags.writeable
    assert not model.vector.size or np.shares_memory(back.vector, np.frombuffer(coded.data, np.uint8))


@settings(deadline=None)
@given(arrays(np.float32, st.integers(1, 9), elements=FINITE))
def test_halves_round_as_torch_and_numpy_do(numbers):
    model = PackedModel(structure_of(numbers.shape), numbers)
    for kind, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        theirs = torch.from_numpy(numbers).to(dtype)
        largest = torch.tensor(torch.finfo(dtype).max, dtype=dtype)
        theirs = torch.clamp(theirs, -largest, largest)  # infinite there, the largest number here
        np.testing.assert_array_equal(code(model, codec(kind)).decode().vector, theirs.float().numpy())
    within = np.clip(numbers, -65504, 65504)
    np.testing.assert_array_equal(code(model, codec("float16")).decode().vector, within.astype(np.float16))


@pytest.mark.parametrize(("kind", "largest"), [("float16", 65504.0), ("bfloat16", 3.3895313892515355e38)])
def test_halves_saturate(kind, largest):
    back = code(rows([3.4028234e38, -3.4028234e38, 1.0]), codec(kind)).decode()
    np.testing.assert_array_equal(back.vector, np.float32([largest, -largest, 1.0]))


@settings(deadline=None)
@given(models(ORDINARY), st.sampled_from(list(LARGEST_CODE)))
def test_what_was_decoded_is_coded_without_further_error(model, kind):
    once = code(model, codec(kind)).decode()
    np.testing.assert_allclose(code(once, codec(kind)).decode().vector, once.vector, rtol=1e-6)


def test_channels_of_zeros_and_a_large_neighbour():
    for kind, largest in LARGEST_CODE.items():
        back = code(rows([0, 0, 0], [1e-3, -2e-3, 2e-3], [1e30, 0, 0]), codec(kind)).decode().vector.reshape(3, 3)
        np.testing.assert_array_equal(back[0], 0)
        np.testing.assert_allclose(back[1], [1e-3, -2e-3, 2e-3], atol=1.001e-3 / largest)
        np.testing.assert_allclose(back[2], [1e30, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("kind", LARGEST_CODE)
@pytest.mark.parametrize("peak", [3.4028234663852886e38, 1e-37, 1e-40, 1e-45])
def test_the_largest_and_smallest_channels(kind, peak):
    model = rows([peak, -peak, 0.0, peak / 3])
    ((_, sent),), ((_, got),) = model.arrays(), code(model, codec(kind)).decode().arrays()
    assert (np.abs(got.astype(np.float64) - sent) <= error_bound(kind, sent)).all()


# --- the wire format --------------------------------------------------------------------------------

# Scales of the channels [7, -7, 3.4], [0, 0, 0] for int4: 7 / 7 = 1 and 0. For int8 of [254, -127, 63], [0, 0, 0]:
# 254 / 127 = 2 and 0, codes 127, -63.5 -> -64 (to even), 31.5 -> 32.
ONE, TWO, ZERO, HALF = "0000803f", "00000040", "00000000", "0000003f"


@pytest.mark.parametrize(
    ("kind", "channels", "expected"),
    [
        ("int8", ([254, -127, 63], [0, 0, 0]), TWO + ZERO + HALF + "7fc020" + "000000"),
        ("int4", ([7, -7, 3.4], [0, 0, 0]), ONE + ZERO + HALF + "97" + "03" + "00"),
        ("int4", ([7, -7, -1],), ONE + HALF + "97" + "0f"),  # the last half byte is unused
        ("float32", ([1.0, 2.0],), ONE + TWO + HALF),
        ("float16", ([1.0, 2.0],), "003c" + "0040" + "0038"),
        # 1 + 2^-8 lies halfway between 0x3f80 and 0x3f81, 1 + 3 * 2^-8 between 0x3f81 and 0x3f82: to even both.
        ("bfloat16", ([1 + 2**-8, 1 + 3 * 2**-8],), "803f" + "823f" + "003f"),
    ],
)
def test_bytes_by_hand(kind, channels, expected):
    matrix = rows(*channels)
    structure = structure_of((1,), *matrix.structure.shapes.values())  # a bias of 0.5 before the matrix ...
    coded = code(PackedModel(structure, np.r_[np.float32(0.5), matrix.vector]), codec(kind))
    if kind in FLOATS:  # ... which only integers move behind the scales
        width = len(expected) // 3
        expected = expected[-width:] + expected[:-width]
    assert coded.data.hex() == expected
    assert coded.decode().vector[0] == 0.5


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        # float32, halves, int8, int4. Only (2, 3) has channels of more than one number: 2 scales + 13 numbers as
        # float32 are 60 bytes, and 6 codes are 6 or 3.
        (((2, 3), (3,), (), (4, 1), (5, 1, 1)), (76, 38, 66, 63)),
        (((3, 3),), (36, 18, 21, 17)),  # 9 codes of 4 bits: 5 bytes
        (((1, 1, 3), (1, 1, 3)), (24, 12, 14, 11)),  # two odd tensors share a byte
        (((1,),), (4, 2, 4, 4)),
        ((), (0, 0, 0, 0)),
    ],
)
def test_sizes_by_hand(shapes, expected):
    sizes = [coded_bytes(structure_of(*shapes), kind) for kind in ("float32", "float16", "int8", "int4")]
    assert tuple(sizes) == expected
    assert coded_bytes(structure_of(*shapes), "bfloat16") == sizes[1]


@settings(deadline=None)
@given(models(ORDINARY))
def test_sizes_are_those_of_the_bytes_and_never_above_float32(model):
    sizes = {kind: code(model, codec(kind)).nbytes for kind in KINDS}
    assert sizes == {kind: coded_bytes(model.structure, kind) for kind in KINDS}
    assert sizes["int4"] <= sizes["int8"] <= sizes["float32"] == 4 * model.structure.size


def unet_structure(name):
    options = yaml.safe_load((files("conf") / "model" / f"{name}.yaml").read_text())["model"]["unet"]
    with torch.device("meta"):
        return Structure.of(UNet2DModel(**options).state_dict())


@pytest.mark.parametrize("name", ["ddpm_cifar10", "digits8"])
def test_share_of_float32_for_the_unets(name):
    structure = unet_structure(name)
    share = {kind: coded_bytes(structure, kind) / coded_bytes(structure, "float32") for kind in KINDS}
    assert structure.size == 35_746_307 or name == "digits8"
    assert share["float16"] == share["bfloat16"] == 0.5
    assert 0.25 < share["int8"] <= 0.27
    assert 0.125 < share["int4"] <= 0.15


@settings(deadline=None)
@given(models(ORDINARY), st.sampled_from(KINDS))
def test_zstd_changes_the_bytes_and_nothing_else(model, kind):
    plain, compressed = code(model, codec(kind)), code(model, codec(kind, 3))
    assert compressed.decode().hash == plain.decode().hash
    assert zstandard.decompress(compressed.data) == plain.data


def test_zstd_shrinks_what_repeats():
    sparse = np.where(np.arange(10_000) % 50 == 0, 1.0, 0.0).reshape(100, 100)
    assert code(rows(*sparse), codec("int8", 3)).nbytes < 0.1 * code(rows(*sparse), codec("int8")).nbytes


# --- changes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_added_to_the_base(kind):
    # The change [4, 0, -4] is exact in every kind: its largest codes, and 0. As weights, int4 would be off by up to 7.
    base, model = rows([100.0, 50.0, 25.0]), rows([104.0, 50.0, 21.0])
    coded = code(model, codec(kind), base)
    assert coded.change
    np.testing.assert_allclose(coded.decode(base).vector, model.vector, rtol=1e-6)
    np.testing.assert_allclose(coded.decode(rows([0.0, 0.0, 0.0])).vector, [4.0, 0.0, -4.0], rtol=1e-6)


def test_an_unchanged_model_is_exact_in_every_kind():
    model = rows([1.1, -2.2, 3.3], [4.4, 5.5, 6.6])
    for kind in KINDS:
        np.testing.assert_array_equal(code(model, codec(kind), model).decode(model).vector, model.vector)


def test_a_change_needs_a_base_of_its_structure_and_weights_need_none():
    model = rows([1.0, 2.0])
    other = PackedModel(Structure((("other", (1, 2)),)), model.vector)
    coded = code(model, codec("int8"), model)
    with pytest.raises(CodecError, match="is a change where weights were asked for"):
        coded.decode()
    with pytest.raises(CodecError, match="is weights where a change was asked for"):
        code(model, codec("int8")).decode(model)
    with pytest.raises(ValueError, match=f"structure {other.structure.id} instead of {model.structure.id}") as foreign:
        coded.decode(other)
    assert not isinstance(foreign.value, CodecError)
    with pytest.raises(ValueError, match="the base has structure"):
        code(model, codec("int8"), other)


# --- numbers that are not to be sent ----------------------------------------------------------------


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_not_finite_are_not_sent(kind, number):
    with pytest.raises(FloatingPointError, match="the model to be sent has numbers that are not finite"):
        code(rows([1.0, number]), codec(kind))
    with pytest.raises(FloatingPointError, match="the change to be sent"):
        code_with_feedback(rows([1.0, number]), codec(kind), rows([1.0, 1.0]), None)


def test_a_change_too_large_for_float32():
    with pytest.raises(FloatingPointError, match="the change to be sent"):
        code(rows([3e38, 0.0]), codec("float32"), rows([-3e38, 0.0]))


# --- data of others ---------------------------------------------------------------------------------

MODEL = rows([0.5, -1.0, 0.25], [1.0, 2.0, 3.0], [0.0, 0.0, 1.0])  # 9 codes: int4 leaves half a byte unused


def received(kind, data, zstd=None, structure=MODEL.structure):
    return CodedModel(structure, kind, zstd, change=False, data=data)


@pytest.mark.parametrize("kind", KINDS)
def test_data_of_another_length(kind):
    data = code(MODEL, codec(kind)).data
    for wrong in (b"", data[:-1], data + b"\0", data[: len(data) // 2]):
        with pytest.raises(CodecError, match=f"{kind} data has {len(wrong)} bytes instead of {len(data)}"):
            received(kind, wrong).decode()


@pytest.mark.parametrize(
    ("kind", "bytes_of_nan", "bytes_of_infinity"),
    [
        ("float32", "0000c07f", "000080ff"),
        ("float16", "007e", "00fc"),
        ("bfloat16", "c07f", "80ff"),
        ("int8", "0000c07f", "0000807f"),
        ("int4", "0000c07f", "0000807f"),
    ],
)
def test_numbers_and_scales_that_are_not_finite(kind, bytes_of_nan, bytes_of_infinity):
    for bad in map(bytes.fromhex, (bytes_of_nan, bytes_of_infinity)):
        data = code(MODEL, codec(kind)).data
        with pytest.raises(CodecError, match="not finite"):
            received(kind, bad + data[len(bad) :]).decode()


@pytest.mark.parametrize("kind", LARGEST_CODE)
@pytest.mark.parametrize("scale", [-1.0, -1e-45, 3.4e38])
def test_scales_that_cannot_be(kind, scale):
    data = np.float32(scale).tobytes() + code(MODEL, codec(kind)).data[4:]
    with pytest.raises(CodecError, match=f"{kind} data has a scale that is negative, too large or not finite"):
        received(kind, data).decode()


@pytest.mark.parametrize("kind", LARGEST_CODE)
def test_a_bias_that_is_not_finite(kind):
    coded = code(PackedModel(structure_of((2,)), np.float32([1, 2])), codec(kind))
    with pytest.raises(CodecError, match=f"{kind} data has numbers that are not finite"):
        received(kind, coded.data[:4] + np.float32(np.nan).tobytes(), structure=coded.structure).decode()


@pytest.mark.parametrize(
    ("kind", "last", "text"),
    [
        ("int8", 0x80, "int8 data has a code below -127"),
        ("int4", 0x08, "int4 data has a code below -7"),
        ("int4", 0x80, "int4 data has a code below -7"),
        ("int4", 0x10, "int4 data has a last byte whose unused half is not 0"),
    ],
)
def test_codes_outside_the_range(kind, last, text):
    data = code(MODEL, codec(kind)).data[:-1] + bytes([last])
    with pytest.raises(CodecError, match=text):
        received(kind, data).decode()


def test_a_change_that_leaves_float32():
    base = rows([3e38, 0.0, 0.0])
    change = CodedModel(base.structure, "float32", None, change=True, data=np.float32([3e38, 0, 0]).tobytes())
    with pytest.raises(CodecError, match="the base and its change together are not finite"):
        change.decode(base)


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_bytes_of_the_right_length_are_refused_or_finite(kind, data):
    size = coded_bytes(MODEL.structure, kind)
    try:
        back = received(kind, data.draw(st.binary(min_size=size, max_size=size))).decode()
    except CodecError:
        return
    assert np.isfinite(back.vector).all()


def test_zstd_garbage():
    data = code(MODEL, codec("int8", 3)).data
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(code(MODEL, codec("int8")).data)
    for wrong in (b"", b"garbage" * 9, data[:-1], data[:9], data + b"\0", data + data, unsized):
        with pytest.raises(CodecError, match="zstd"):
            received("int8", wrong, zstd=3).decode()


@pytest.mark.parametrize("honest", [True, False])
def test_a_zstd_bomb_is_not_unfolded(honest):
    structure, size = structure_of((25_000,)), 100_000
    bomb = zstandard.compress(bytes(50_000_000))
    assert len(bomb) < 10_000
    if not honest:  # its header says what is expected
        told = (50_000_000).to_bytes(4, "little")
        assert bomb[:12].count(told) == 1
        bomb = bomb.replace(told, size.to_bytes(4, "little"), 1)
    tracemalloc.start()
    with pytest.raises(CodecError, match="zstd"):
        received("float32", bomb, zstd=3, structure=structure).decode()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * size


# --- serialisation types ----------------------------------------------------------------------------

EVERY = list(product(KINDS, [None, 3]))


def test_serialisation_types():
    stypes = {code(MODEL, codec(kind, zstd)).stype: (kind, zstd is not None) for kind, zstd in EVERY}
    assert len(stypes) == 10
    assert stypes["fedphd.int8"] == ("int8", False)
    assert stypes["fedphd.int4+zstd"] == ("int4", True)
    assert {stype: read_stype(stype) for stype in stypes} == stypes


@pytest.mark.parametrize("stype", ["", "numpy.ndarray", "fedphd.int2", "fedphd.int8+lz4", "int8", "x" * 10_000])
def test_unknown_serialisation_types(stype):
    with pytest.raises(CodecError, match="unknown serialisation type") as refused:
        read_stype(stype)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(("kind", "zstd"), EVERY)
def test_flower_never_averages_codes(kind, zstd):
    def fedavg(array):
        reply = RecordDict({"arrays": ArrayRecord({"w": array}), "metrics": MetricRecord({"num-examples": 1})})
        return aggregate_arrayrecords([reply, reply], "num-examples")

    coded = code(MODEL, codec(kind, zstd))
    array = Array(kind, (coded.nbytes,), coded.stype, coded.data)
    with pytest.raises(TypeError, match="Unsupported serialization type"):
        array.numpy()
    with pytest.raises(TypeError, match="Unsupported serialization type"):
        fedavg(array)
    codes = np.frombuffer(coded.data, np.uint8)  # what Flower can read it averages, whatever it means
    np.testing.assert_array_equal(fedavg(Array(codes))["w"].numpy(), codes)


# --- rounding at random -----------------------------------------------------------------------------


def at_random(kind):
    return codec(kind).model_copy(update={"rounding": "stochastic"})


@settings(deadline=None)
@given(models(), st.sampled_from(["int8", "int4"]), st.integers(0, 99))
def test_rounded_at_random_a_number_is_less_than_a_scale_away(model, kind, seed):
    back = code(model, at_random(kind), seed=seed).decode()
    for (_, sent), (_, got) in zip(model.arrays(), back.arrays(), strict=True):
        assert (np.abs(got.astype(np.float64) - sent) <= 2 * error_bound(kind, sent)).all()


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_rounded_at_random_the_mean_is_right(kind):
    """300 draws: the mean of a draw of at most one scale has a standard error of at most 0.5 / sqrt(300) = 0.029."""
    scale = 1 / CODECS.find(kind).largest()
    model = rows([1.0, *(scale * share for share in (0.02, 0.3, 0.5, 0.77, -0.1, -0.5, -2.25))])
    drawn = [code(model, at_random(kind), seed=seed).decode().vector for seed in range(300)]
    np.testing.assert_allclose(np.mean(drawn, axis=0), model.vector, rtol=0, atol=4 * 0.029 * scale)
    assert code(model, codec(kind)).decode().vector[1] == 0


def test_the_same_seed_rounds_alike_and_another_one_otherwise():
    model = rows(np.linspace(-1, 1, 500))
    one, same, other = (code(model, at_random("int8"), seed=seed).data for seed in (1, 1, 2))
    assert one == same != other


def test_nobody_rounds_at_random_without_a_seed():
    with pytest.raises(ValueError, match="stochastic rounding needs the message's seed"):
        code(MODEL, at_random("int8"))


def test_a_change_that_rounding_to_nearest_loses_survives_on_average():
    """Weights of sd 0.03, a change of 4.5e-5 of them: no client's change comes through, but that of 100 does."""
    rng = np.random.default_rng(0)
    weights = rows(*rng.normal(0, 0.03, (16, 600)))
    sent = code(weights, codec("int8")).decode()
    change = rng.normal(0, 4.5e-5, sent.vector.size).astype(np.float32)
    trained = PackedModel(sent.structure, sent.vector + change)

    def survives(one, seeds):
        got = np.mean([code(trained, one, seed=seed).decode().vector - sent.vector for seed in seeds], axis=0)
        return got @ change / np.linalg.norm(got) / np.linalg.norm(change), got @ change / (change @ change)

    assert survives(codec("int8"), [0])[1] < 0.02
    cosine, slope = survives(at_random("int8"), range(100))
    assert cosine > 0.9
    assert slope == pytest.approx(1, abs=0.1)


# --- error feedback ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 8), st.integers(0, 99))
def test_with_feedback_nothing_is_lost_only_late(kind, rounds, seed):
    rng = np.random.default_rng(seed)
    structure = structure_of((3, 5), (4,))
    sent, received, residual = np.zeros(19), np.zeros(19), None
    for _ in range(rounds):
        model = PackedModel(structure, rng.normal(size=19).astype(np.float32))
        coded, residual = code_with_feedback(model, codec(kind), None, residual)
        sent += model.vector
        received += coded.decode().vector
    np.testing.assert_allclose(received + residual, sent, atol=1e-5)


def test_feedback_without_a_residual_sends_what_coding_sends():
    for base in (None, rows([9.0, 9.0, 9.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])):
        coded, residual = code_with_feedback(MODEL, codec("int4"), base, None)
        assert coded == code(MODEL, codec("int4"), base)
        lost = (MODEL.vector - base.vector if base else MODEL.vector) - received("int4", coded.data).decode().vector
        np.testing.assert_array_equal(residual, lost)
        assert residual.any()


def test_a_residual_of_another_network():
    with pytest.raises(ValueError, match=r"residual has shape \(4,\) instead of \(9,\)"):
        code_with_feedback(MODEL, codec("int8"), None, np.zeros(4, np.float32))


def test_what_float16_cannot_hold_comes_with_the_next_message():
    model = rows([100_000.0, 1.0])
    first, residual = code_with_feedback(model, codec("float16"), None, None)
    second, _ = code_with_feedback(rows([0.0, 0.0]), codec("float16"), None, residual)
    total = first.decode().vector + second.decode().vector
    np.testing.assert_allclose(total, model.vector, rtol=1e-3)


def descend(kind, feedback, targets, rate, rounds):
    """Minimise the mean over clients k of |w - targets[k]|^2 / 2, each sending one gradient step's change."""
    channels, width = targets[0].shape
    weights = rows(*np.zeros((channels, width)))
    residuals = [None] * len(targets)
    for _ in range(rounds):
        changes = []
        for k, target in enumerate(targets):
            step = weights.vector - rate * (weights.vector - target.reshape(-1))
            local = PackedModel(weights.structure, step.astype(np.float32))
            if feedback:
                coded, residuals[k] = code_with_feedback(local, codec(kind), weights, residuals[k])
            else:
                coded = code(local, codec(kind), weights)
            changes.append(coded.decode(weights).vector - weights.vector)
        weights = PackedModel(weights.structure, weights.vector + np.mean(changes, axis=0, dtype=np.float32))
    return weights.vector.reshape(channels, width)


def test_error_feedback_moves_what_int4_alone_leaves_where_it_is():
    # Two clients pull the first weight to 7 and -7, which cancels out, but keeps the channel's scale at
    # rate * 7 / 7 = rate. The other weights, to be pulled to 0.3, change by at most rate * 0.4 in each message, less
    # than half a scale, and round to 0: alone they never move. With feedback the mean residual stays below half a
    # scale, and so does the distance from plain gradient descent, which has converged by then (0.95 ** 200 < 1e-4).
    rate = 0.05
    targets = [np.array([[7.0, 0.4, 0.2, 0.3]]), np.array([[-7.0, 0.2, 0.4, 0.3]])]
    optimum = np.array([[0.0, 0.3, 0.3, 0.3]])
    exact, alone, fed = (
        descend(kind, feedback, targets, rate, rounds=200)
        for kind, feedback in (("float32", False), ("int4", False), ("int4", True))
    )
    np.testing.assert_allclose(exact, optimum, atol=1e-4)
    np.testing.assert_array_equal(alone[:, 1:], 0)
    np.testing.assert_allclose(fed, optimum, atol=0.51 * rate)


@pytest.mark.parametrize("seed", range(3))
def test_error_feedback_brings_int4_close_to_float32_among_unlike_clients(seed):
    targets = np.random.default_rng(seed).standard_t(3, size=(4, 6, 50))  # four clients; heavy tails, as gradients have
    optimum = targets.mean(axis=0)
    alone, fed = (
        np.linalg.norm(descend("int4", feedback, list(targets), 0.05, rounds=200) - optimum) / np.linalg.norm(optimum)
        for feedback in (False, True)
    )
    assert fed < 0.05
    assert alone > 4 * fed

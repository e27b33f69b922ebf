import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from helpers import packed, profile
from hypothesis import given, settings
from hypothesis import strategies as st

from common.messages import (
    ClientUpdate,
    EdgeRound,
    EdgeUpdate,
    Roster,
    RoundOrder,
    TrainOrder,
    content_bytes,
)
from common.packing import PackedModel
from common.records import MessageError
from common.structure import Structure

MODEL = packed(1.0, -2.0, 3.5)
EXPECTED = MODEL.structure
PROFILE = profile(0, [3.0, 7.0])
EVENTS = [{"time": 1.5, "event": "lost", "peer": "client-0", "reason": "why"}]
ROUNDS = [EdgeRound(["client-0"], 10, 0.5, 1.5, 12, 12), EdgeRound([], 0, None, 0.0)]
SOUND = {
    "profile": PROFILE,
    "roster": Roster("edge-0", [PROFILE, profile(1, [1.5, 0.0])], EVENTS),
    "round order": RoundOrder(MODEL, 3, 4, [["client-0", "client-1"], []], True),
    "train order": TrainOrder(MODEL, 3, 5, False),
    "client update": ClientUpdate(MODEL, "client-0", 5, 10, 0.25, 2, 1.5),
    "edge update": EdgeUpdate(MODEL, "edge-0", 3, [0.25, 0.75], ROUNDS, EVENTS),
}


def read(kind: str, content: RecordDict) -> object:
    message = type(SOUND[kind])
    return message.read(content, EXPECTED) if kind.endswith("update") else message.read(content)


def refused(kind: str, content: RecordDict) -> str:
    """Read what must be refused, and return the reason."""
    with pytest.raises(MessageError) as caught:
        read(kind, content)
    return str(caught.value)


def same(a: object, b: object) -> bool:
    """Compare messages, whose models hold arrays."""
    if not hasattr(a, "model"):
        return a == b
    models = (a.model.structure, a.model.vector.tobytes()) == (b.model.structure, b.model.vector.tobytes())
    return models and replace(a, model=None) == replace(b, model=None)


@pytest.mark.parametrize("kind", SOUND)
def test_round_trip(kind: str) -> None:
    assert same(read(kind, SOUND[kind].write()), SOUND[kind])


@pytest.mark.parametrize("kind", SOUND)
def test_round_trip_through_flowers_encoding(kind: str) -> None:
    """... in which records are protobuf and floats and integers may change their types."""
    content = SOUND[kind].write()
    for name, record in content.items():
        if isinstance(record, ConfigRecord):
            content[name] = ConfigRecord.inflate(record.deflate())
    assert same(read(kind, content), SOUND[kind])


@pytest.mark.parametrize("kind", [kind for kind in SOUND if hasattr(SOUND[kind], "model")])
def test_models_survive_bit_for_bit(kind: str) -> None:
    odd = PackedModel(EXPECTED, np.array([-0.0, 1e-45, 3.4e38], np.float32))
    back = read(kind, replace(SOUND[kind], model=odd).write())
    assert back.model.vector.tobytes() == odd.vector.tobytes()


def test_sums_over_edge_rounds() -> None:
    update = SOUND["edge update"]
    assert (update.samples, update.latest_samples) == (10, 0)
    assert replace(update, rounds=[]).latest_samples == 0


# --- each record and each entry ---------------------------------------------------------------------

ENTRIES = [
    (kind, name, key)
    for kind, message in SOUND.items()
    for name, record in message.write().items()
    if isinstance(record, ConfigRecord)
    for key in record
]
SCALARS = st.one_of(
    st.integers(),
    st.integers(2**60, 2**2000),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.booleans(),
)
LISTS = st.one_of(*(st.lists(scalar, max_size=4) for scalar in (st.integers(), st.floats(), st.text(), st.booleans())))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=8,
)
NESTED = ["[" * 100_000, "[1" * 3000 + "]" * 3000, "[" + "9" * 5000 + "]", "[NaN]", "{}", "null", "[[", "", "\ud800"]


@pytest.mark.parametrize("kind", SOUND)
def test_each_record_is_needed(kind: str) -> None:
    for name in SOUND[kind].write():
        content = SOUND[kind].write()
        del content[name]
        assert name in refused(kind, content)


@pytest.mark.parametrize("kind", SOUND)
def test_records_of_another_type_are_refused(kind: str) -> None:
    for name in SOUND[kind].write():
        content = SOUND[kind].write()
        content[name] = MetricRecord({"x": 1.0})
        assert name in refused(kind, content)


@pytest.mark.parametrize(("name", "key", "value"), [("report", "more", ""), ("structure", "more", [])])
def test_entries_that_nobody_asked_for_are_refused(name: str, key: str, value: object) -> None:
    """... also because Flower cannot count the bytes of empty ones."""
    assert "must have the entries" in refused("client update", with_entry("client update", name, key, value))


@pytest.mark.parametrize("kind", SOUND)
def test_records_that_nobody_asked_for_are_refused(kind: str) -> None:
    content = SOUND[kind].write()
    content["more"] = ArrayRecord({"big": Array(np.zeros(1000))})
    assert "more" in refused(kind, content)


@pytest.mark.parametrize(("kind", "name", "key"), ENTRIES)
def test_each_entry_is_needed(kind: str, name: str, key: str) -> None:
    content = SOUND[kind].write()
    del content[name][key]
    assert f"'{name}' must have the entries" in refused(kind, content)


@pytest.mark.parametrize(("kind", "name", "key"), ENTRIES)
@settings(max_examples=30, deadline=None)
@given(value=st.one_of(SCALARS, LISTS, JSON.map(json.dumps), st.sampled_from(NESTED)))
def test_no_entry_can_do_harm(kind: str, name: str, key: str, value: object) -> None:
    """Whatever stands in an entry, it is refused for a short reason, or read as something sound."""
    content = SOUND[kind].write()
    content[name][key] = value
    check_harmless(kind, content)


def check_harmless(kind: str, content: RecordDict) -> None:
    try:
        message = read(kind, content)
    except MessageError as error:
        assert 0 < len(str(error)) < 1000
        json.dumps(str(error))
        return
    assert content_bytes(content) > 0
    again = read(kind, message.write())
    assert same(again, message)
    facts = asdict(replace(message, model=None) if hasattr(message, "model") else message)
    json.dumps(facts, allow_nan=False)  # as the ledger does
    if isinstance(message, EdgeUpdate):
        assert message.samples >= 0
        assert all(isinstance(client, str) for one in message.rounds for client in one.clients)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["clients", "samples", "loss", "seconds", "down_bytes", "up_bytes", "more"]),
    st.one_of(JSON, st.sampled_from([float("nan"), float("inf"), -1, 10**400, True])),
)
def test_edge_rounds_are_checked(key: str, value: object) -> None:
    content = SOUND["edge update"].write()
    content["report"]["rounds"] = json.dumps([asdict(ROUNDS[0]) | {key: value}])
    check_harmless("edge update", content)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["client", "samples", "classes", "counts", "more"]), JSON)
def test_rosters_are_checked(key: str, value: object) -> None:
    content = SOUND["roster"].write()
    content["roster"]["profiles"] = json.dumps([asdict(PROFILE) | {key: value}])
    check_harmless("roster", content)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_assignments_are_checked(value: object) -> None:
    content = SOUND["round order"].write()
    content["order"]["assignment"] = json.dumps([value])
    check_harmless("round order", content)


# --- reasons ----------------------------------------------------------------------------------------


def with_entry(kind: str, name: str, key: str, value: object) -> RecordDict:
    content = SOUND[kind].write()
    content[name][key] = value
    return content


@pytest.mark.parametrize(
    ("kind", "name", "key", "value", "reason"),
    [
        ("client update", "report", "samples", -1, r"'samples' must be a whole number of at least 0, not -1"),
        ("client update", "report", "samples", True, "'samples' must be a whole number of at least 0, not True"),
        ("client update", "report", "samples", 3.0, "'samples' must be a whole number of at least 0, not 3.0"),
        ("client update", "report", "client", 7, "'client' must be text, not 7"),
        ("client update", "report", "client", b"client-0", "'client' must be text"),
        ("client update", "report", "loss", float("nan"), "'loss' must be a finite number, not nan"),
        ("client update", "report", "seconds", float("inf"), "'seconds' must be a finite number, not inf"),
        ("edge update", "report", "q", [0.5, float("nan")], "'q' must be a list of finite numbers"),
        ("edge update", "report", "rounds", "not json", "'rounds' is not JSON"),
        ("edge update", "report", "rounds", "{}", "'rounds' must be a JSON list"),
        ("edge update", "report", "rounds", '[{"samples": 1}]', "must be a whole number of at least 0, not None"),
        ("edge update", "report", "rounds", "[5]", "not a record: 5"),
        ("edge update", "report", "q", [0.5, 0.6], "'q' must be fractions that sum to one"),
        ("edge update", "report", "q", [1.5, -0.5], "'q' must be fractions that sum to one"),
        ("profile", "profile", "counts", [3.0, -1.0], "label counts"),
        ("profile", "profile", "counts", [3.0], "label counts"),
        ("profile", "profile", "counts", [], "label counts"),
        ("profile", "profile", "classes", "ab", "'classes' must be a list of names"),
        ("roster", "roster", "profiles", "[5]", "not a record"),
        ("round order", "order", "assignment", '["client-0"]', "assignment"),
        ("round order", "order", "assignment", '[["client-0", "client-0"]]', "assignment"),
        ("round order", "order", "sparse", "no", "sparse"),
        ("train order", "order", "sparse", 1, "sparse"),
        ("client update", "structure", "id", "0123456789abcdef", f"'0123456789abcdef' instead of '{EXPECTED.id}'"),
        ("round order", "structure", "id", "0123456789abcdef", "'0123456789abcdef' does not fit the tensors"),
        ("round order", "structure", "tensors", '[["w",[4]]]', "does not fit the tensors"),
        ("round order", "structure", "tensors", '[["w",[-3]]]', "positive sizes"),
        ("round order", "structure", "tensors", '[["w",[3]],["w",[3]]]', "twice"),
    ],
)
def test_the_reason_is_told(kind: str, name: str, key: str, value: object, reason: str) -> None:
    assert reason in refused(kind, with_entry(kind, name, key, value))


def test_an_update_of_another_structure_is_refused() -> None:
    content = replace(SOUND["client update"], model=packed(1.0, 2.0)).write()
    assert "instead of" in refused("client update", content)


# --- the model's bytes ------------------------------------------------------------------------------

WITH_MODEL = ["round order", "train order", "client update", "edge update"]


def with_array(kind: str, array: Array) -> RecordDict:
    content = SOUND[kind].write()
    content["model"] = ArrayRecord({"vector": array})
    return content


def raw(data: bytes, shape: tuple[int, ...] = (3,), dtype: str = "float32", stype: str = "numpy.ndarray") -> Array:
    """Make an array that says one thing and may hold another."""
    return Array(dtype, shape, stype, data)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def npz(**parts: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **parts)
    return stream.getvalue()


GOOD = npy(MODEL.vector)


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("kind", WITH_MODEL)
def test_nothing_is_unpickled(kind: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    objects = np.array([Bomb(trace)] * 3, object)
    refused(kind, with_array(kind, raw(npy(objects, allow_pickle=True))))
    assert not trace.exists()
    np.load(io.BytesIO(npy(objects, allow_pickle=True)), allow_pickle=True)
    assert trace.exists()  # the bomb does work


@pytest.mark.parametrize("kind", WITH_MODEL)
@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (Array(np.zeros(3)), "float64(3,) instead of float32(3,)"),
        (Array(np.zeros(4, np.float32)), "float32(4,) instead of float32(3,)"),
        (Array(np.zeros((3, 1), np.float32)), "float32(3, 1) instead of float32(3,)"),
        (Array(np.array([1, np.nan, 2], np.float32)), "not finite"),
        (Array(np.array([1, np.inf, 2], np.float32)), "not finite"),
        (raw(GOOD + bytes(5000)), "bytes"),
        (raw(GOOD + bytes(4)), "decodes"),
        (raw(npy(np.zeros(3))), "float64"),
        (raw(npy(np.zeros(300, np.float32))), "bytes"),
        (raw(npy(np.zeros(4, np.float32))), "float32"),
        (raw(npy(np.zeros((1, 3), np.float32))), "float32"),
        (raw(npy(np.zeros(3, ">f4"))), "float32"),
        (raw(b""), "decoded"),
        (raw(GOOD[:-1]), "decodes"),
        (raw(GOOD[:50]), "decoded"),
        (raw(GOOD[:7]), "decoded"),
        (raw(b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((("), "decoded"),
        (raw(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'\n"), "decoded"),
        (raw(b"PK\x03\x04" + bytes(60)), "decoded"),
        (raw(npz(vector=np.zeros(3, np.float32))), "decoded"),
        (raw(GOOD.replace(b"(3,), ", b"(9999999999999,), ")), "instead of"),
    ],
)
def test_bytes_that_are_no_such_model_are_refused(kind: str, array: Array, reason: str) -> None:
    assert reason in refused(kind, with_array(kind, array))


@pytest.mark.parametrize("kind", WITH_MODEL)
def test_other_arrays_are_refused(kind: str) -> None:
    for arrays in ({}, {"vector": Array(MODEL.vector), "more": Array(MODEL.vector)}, {"other": Array(MODEL.vector)}):
        content = SOUND[kind].write()
        content["model"] = ArrayRecord(arrays)
        assert "no model" in refused(kind, content)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_or_a_finite_model(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged
    try:
        update = ClientUpdate.read(with_array("client update", raw(bytes(damaged))), EXPECTED)
    except MessageError:
        return
    vector = update.model.vector
    assert (vector.dtype, vector.shape) == (np.float32, (3,))
    assert np.isfinite(vector).all()


def test_bytes_are_counted() -> None:
    content = SOUND["train order"].write()
    # Flower's count: the array with its header, and names and values of the two config records.
    structure = len("id") + 16 + len("tensors") + len(EXPECTED.to_json())
    order = len("root-round") + 8 + len("edge-round") + 8 + len("sparse") + 1
    assert content_bytes(content) == len("vector") + len(GOOD) + structure + order
    assert len(GOOD) == 128 + 3 * 4


def test_structures_of_any_names_travel() -> None:
    model = PackedModel(Structure((("é\n'\"", (2,)), ("", ()))), np.arange(3, dtype=np.float32))
    assert same(TrainOrder.read(TrainOrder(model, 1, 0, False).write()), TrainOrder(model, 1, 0, False))

"""Every message, every record, every entry: there and back, missing, unknown, of a wrong type, hostile."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from helpers import profile
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_messages import (
    ENTRIES,
    EVENTS,
    PROFILE,
    ROUNDS,
    SOUND,
    UNABLE,
    facts,
    read,
    refused,
    same,
    with_entry,
    written,
)

from fedphd.common.run.events import Event
from fedphd.common.wire.messages import EdgeUpdate, Gathered, Profile, as_line, as_notes, content_bytes
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import NO_TRAFFIC


@pytest.mark.parametrize("kind", SOUND)
def test_round_trip(kind: str) -> None:
    assert same(read(kind, SOUND[kind].write()), SOUND[kind])


@pytest.mark.parametrize("kind", SOUND)
def test_round_trip_through_flowers_encoding(kind: str) -> None:
    """... in which records are protobuf and floats and integers may change their types."""
    content = written(kind)
    for name, record in content.items():
        if isinstance(record, ConfigRecord):
            content[name] = ConfigRecord.inflate(record.deflate())
    assert same(read(kind, content), SOUND[kind])


@pytest.mark.parametrize("kind", SOUND)
def test_what_need_not_be_there(kind: str) -> None:
    """Control variates, final rounds, events, and who gave something, where there are none."""
    empty = {"control": None, "events": [], "profiles": [], "rounds": [], "notes": [], "unable": []}
    if kind == "round order":
        empty |= {"final": None, "counted": {}}
    if kind == "gathered":
        empty |= {"clients": [], "down": NO_TRAFFIC, "up": NO_TRAFFIC}
    message = replace(SOUND[kind], **{key: value for key, value in empty.items() if hasattr(SOUND[kind], key)})
    assert same(read(kind, message.write()), message)


def test_sums_over_edge_rounds() -> None:
    update = SOUND["edge update"]
    assert (update.samples, update.latest_samples) == (10, 10)  # of the edge round before: the latest had no clients
    assert replace(update, rounds=[]).latest_samples == 0


# --- each record and each entry ---------------------------------------------------------------------

SCALARS = st.one_of(
    st.integers(),
    st.integers(2**60, 2**2000),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.booleans(),
)
LISTS = st.one_of(
    *(st.lists(scalar, max_size=4) for scalar in (st.integers(), st.floats(), st.text(), st.booleans())),
    st.lists(st.sampled_from(["encoder", "bottleneck", "decoder", "client-0"]), max_size=4),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=8,
)
NESTED = ["[" * 100_000, "[1" * 3000 + "]" * 3000, "[" + "9" * 5000 + "]", "[NaN]", "{}", "null", "[[", "", "\ud800"]


@pytest.mark.parametrize("kind", SOUND)
def test_each_record_is_needed(kind: str) -> None:
    for name in SOUND[kind].write():
        content = written(kind)
        del content[name]
        if name == "control":  # only SCAFFOLD has them; who asked for them tells that they are not there
            assert read(kind, content).control is None
        elif name == "pixels" and kind != "drawing":  # clients may draw themselves what they compare
            assert read(kind, content).generated is None
        else:
            assert name in refused(kind, content)


@pytest.mark.parametrize("kind", SOUND)
def test_records_of_another_type_are_refused(kind: str) -> None:
    for name in SOUND[kind].write():
        content = written(kind)
        content[name] = MetricRecord({"x": 1.0})
        assert name in refused(kind, content)


@pytest.mark.parametrize("value", ["", [], 1])
@pytest.mark.parametrize(("kind", "name"), sorted({entry[:2] for entry in ENTRIES}))
def test_entries_that_nobody_asked_for_are_refused(kind: str, name: str, value: object) -> None:
    """... also because Flower cannot count the bytes of empty ones."""
    assert "must have the entries" in refused(kind, with_entry(kind, name, "more", value))


@pytest.mark.parametrize("kind", SOUND)
def test_records_that_nobody_asked_for_are_refused(kind: str) -> None:
    content = written(kind)
    content["more"] = ArrayRecord({"big": Array(np.zeros(1000))})
    assert "more" in refused(kind, content)


@pytest.mark.parametrize(("kind", "name", "key"), ENTRIES)
def test_each_entry_is_needed(kind: str, name: str, key: str) -> None:
    content = written(kind)
    del content[name][key]
    assert f"'{name}' must have the entries" in refused(kind, content)


@pytest.mark.parametrize(("kind", "name", "key"), ENTRIES)
@settings(max_examples=25, deadline=None)
@given(value=st.one_of(SCALARS, LISTS, JSON.map(json.dumps), st.sampled_from(NESTED)))
def test_no_entry_can_do_harm(kind: str, name: str, key: str, value: object) -> None:
    """Whatever stands in an entry, it is refused for a short reason, or read as something sound."""
    check_harmless(kind, with_entry(kind, name, key, value))


def plain(value: object) -> object:
    """Give what JSON can write of a part of a message."""
    return value.facts if isinstance(value, Event) else asdict(value)


def check_harmless(kind: str, content: RecordDict) -> None:
    try:
        message = read(kind, content)
    except MessageError as error:
        assert 0 < len(str(error)) < 1000
        json.dumps(str(error))
        return
    assert same(read(kind, message.write()), message)
    json.dumps(facts(message), allow_nan=False, default=plain)  # as the ledger does
    if kind not in ("errand", "comparing errand", "gathered"):  # which are not counted; Flower cannot count empty lists
        assert content_bytes(content) > 0
    if isinstance(message, EdgeUpdate):
        assert message.samples >= 0
        assert all(isinstance(client, str) for one in message.rounds for client in one.clients)
    if isinstance(message, Gathered):
        assert (message.down + message.up).bytes >= 0


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["clients", "samples", "loss", "seconds", "down", "up", "more"]),
    st.one_of(JSON, st.sampled_from([float("nan"), float("inf"), -1, 10**400, True])),
)
def test_edge_rounds_are_checked(key: str, value: object) -> None:
    rounds = json.dumps([asdict(ROUNDS[0]) | {key: value}])
    check_harmless("edge update", with_entry("edge update", "report", "rounds", rounds))


@pytest.mark.parametrize("changed", [{"loss": None}, {"samples": 0}, {"more": 1}])
def test_edge_rounds_with_images_and_no_loss_or_more_are_refused(changed: dict[str, object]) -> None:
    content = with_entry("edge update", "report", "rounds", json.dumps([asdict(ROUNDS[0]) | changed]))
    assert "unknown entries, or with images and no loss" in refused("edge update", content)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["messages", "parameters", "bytes", "more"]),
    st.one_of(JSON, st.sampled_from([float("nan"), -1, 2**60, True])),
)
def test_traffic_is_checked(key: str, value: object) -> None:
    sound = asdict(ROUNDS[0].up)
    counts = {
        "edge update": [asdict(ROUNDS[0]) | {"up": sound | {key: value}}],
        "gathered": [sound | {key: value}, sound],
    }
    check_harmless("edge update", with_entry("edge update", "report", "rounds", json.dumps(counts["edge update"])))
    check_harmless("gathered", with_entry("gathered", "gathered", "traffic", json.dumps(counts["gathered"])))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["client", "samples", "classes", "counts", "notes", "more"]), JSON)
def test_rosters_are_checked(key: str, value: object) -> None:
    entries = json.dumps([PROFILE.entries() | {key: value}])
    check_harmless("roster", with_entry("roster", "roster", "profiles", entries))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["client", "reason", "more"]), JSON)
def test_those_who_cannot_take_part_are_checked(key: str, value: object) -> None:
    check_harmless("roster", with_entry("roster", "roster", "unable", json.dumps([asdict(UNABLE) | {key: value}])))


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(["assignment", "final"]))
def test_assignments_are_checked(value: object, key: str) -> None:
    check_harmless("round order", with_entry("round order", "order", key, json.dumps([value, []])))


def test_events_of_edges_are_checked() -> None:
    for kind, name in (("roster", "roster"), ("edge update", "report"), ("gathered", "gathered")):
        hostile = json.dumps([{"time": 1.5, "event": "commit", **EVENTS[0].facts}])
        assert "events cannot be read" in refused(kind, with_entry(kind, name, "events", hostile))


def test_label_counts_fit_the_classes() -> None:
    for counts in ([3.0, -1.0], [3.0], [], [1.0, 2.0, 3.0]):
        message = replace(PROFILE, counts=counts)
        assert "label counts" in refused("profile", message.write())
    assert read("profile", profile(3, [0.0]).write()).counts == [0.0]


def test_names_of_classes_are_bounded() -> None:
    for classes, told in (
        ([str(number) for number in range(10_001)], "has 10,001 classes, at most 10,000 are possible"),
        (["x" * 256], "has a class of 256 characters"),
        ([""], "has a class whose name is empty"),
        (["two\nlines"], "has a class whose name cannot be shown"),
    ):
        assert told in refused("profile", many(classes).write())
    assert read("profile", many(["x" * 255]).write()).classes == ["x" * 255]


def many(classes: list[str]) -> Profile:
    return Profile("client-0", len(classes), classes, [1.0] * len(classes))


@pytest.mark.parametrize("line", ["", "two\nlines", "\x1b[31mred", "x" * 501, 7])
def test_lines_that_are_shown_to_the_user_are_printable_and_short(line: object) -> None:
    assert "'notes' must be printable lines" in refused(
        "profile", with_entry("profile", "profile", "notes", json.dumps([line]))
    )
    if isinstance(line, str):
        assert "'reason' must be" in refused("unable", with_entry("unable", "unable", "reason", line))


def test_what_is_told_is_made_to_fit() -> None:
    assert as_line("two\nlines of \x1b[31mred") == "two lines of [31mred"
    assert len(as_line("x" * 900)) == 500
    notes = as_notes([f"note {number}" for number in range(30)] + ["\n"])
    assert (len(notes), notes[-1]) == (20, "11 more notes in the log of the client")
    assert read("profile", replace(PROFILE, notes=notes).write()).notes == notes
    assert "has 21 lines" in refused("profile", replace(PROFILE, notes=["x"] * 21).write())


# --- reasons ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "key", "value", "reason"),
    [
        ("client update", "report", "samples", -1, "'samples' must be a whole number of at least 0, not -1"),
        ("client update", "report", "samples", True, "'samples' must be a whole number of at least 0, not True"),
        ("client update", "report", "samples", 3.0, "'samples' must be a whole number of at least 0, not 3.0"),
        ("client update", "report", "client", 7, "'client' must be text, not 7"),
        ("client update", "report", "client", b"client-0", "'client' must be text"),
        ("client update", "report", "loss", float("nan"), "'loss' must be a finite number, not nan"),
        ("client update", "report", "seconds", float("inf"), "'seconds' must be a finite number, not inf"),
        ("client update", "report", "seconds", -1.0, "'seconds' must be seconds from 0 up, not -1.0"),
        ("edge update", "report", "q", [0.5, float("nan")], "'q' must be a list of finite numbers"),
        ("edge update", "report", "q", [0.5, 0.6], "'q' must be fractions that sum to one"),
        ("edge update", "report", "q", [1.5, -0.5], "'q' must be fractions that sum to one"),
        ("edge update", "report", "rounds", "not json", "'rounds' is not JSON"),
        ("edge update", "report", "rounds", "{}", "'rounds' must be a JSON list"),
        ("edge update", "report", "rounds", '[{"samples": 1}]', "'clients' must be a list of names, not None"),
        ("edge update", "report", "rounds", "[5]", "'rounds' has an entry that is no edge round"),
        ("profile", "profile", "classes", "ab", "'classes' must be a list of names"),
        ("roster", "roster", "profiles", "[5]", "not a record"),
        ("round order", "order", "assignment", '["client-0"]', "assignment"),
        ("round order", "order", "assignment", '[["client-0", "client-0"], []]', "'assignment' has a name twice"),
        ("round order", "order", "final", '[["client-0"]]', "'final' has 1 edge rounds, 'assignment' 2"),
        ("round order", "order", "sparse", "no", "'sparse' must be true or false, not 'no'"),
        ("train order", "order", "sparse", 1, "'sparse' must be true or false, not 1"),
        ("train order", "order", "final", 0, "'final' must be true or false, not 0"),
        ("train order", "order", "edge", "", "'edge' must be text, not ''"),
        ("train order", "order", "pruning", "", "'pruning' must be text, not ''"),
        ("round order", "order", "pruning", '{"ratio": 0.3}', "not a pruning"),
        ("client errand", "errand", "pruning", "nul", "not a pruning"),
        ("client errand", "errand", "images", -1, "'images' must be a whole number of at least 0, not -1"),
        ("errand", "errand", "clients", ["client-0", "client-0"], "'clients' has a name twice"),
        ("gathered", "gathered", "traffic", "[]", "'traffic' must have an entry for each direction"),
        ("gathered", "gathered", "traffic", "[{}, {}]", "traffic must have the entries messages, parameters, bytes"),
        ("fetch", "fetch", "errand", 3, "'errand' must be text, not 3"),
        ("drawing", "drawing", "client", "", "'client' must be text, not ''"),
        ("drawing", "drawing", "trained", 1, "'trained' must be true or false, not 1"),
    ],
)
def test_the_reason_is_told(kind: str, name: str, key: str, value: object, reason: str) -> None:
    assert reason in refused(kind, with_entry(kind, name, key, value))

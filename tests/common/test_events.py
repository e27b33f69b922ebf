"""What an edge may tell of itself, and what is refused."""

import json
from pathlib import Path

import pytest
from helpers import exact, packed, profile
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.run.events import read_events, write_events
from fedphd.common.run.ledger import Ledger, read_lines
from fedphd.common.wire.messages import EdgeRound, EdgeUpdate, Roster
from fedphd.common.wire.records import MessageError

SENT = {
    "time": 1.5,
    "event": "send",
    "round": 3,
    "edge_round": 7,
    "peer": "client-1",
    "hop": "access",
    "parameters": 20,
    "payload_bytes": 80,
    "encoded_bytes": 120,
    "structure": "abc",
}
EVENTS = [
    {"time": 1.0, "event": "register", "clients": ["client-0", "client-1"]},
    SENT,
    {"time": 2.0, "event": "accept", "samples": 10, "loss": 0.25, "seconds": 1.5},
    {"time": 2.2, "event": "accept", "task": "draw", "payload_bytes": 640},
    {"time": 2.5, "event": "lost", "peer": "client-0", "reason": "error 5: away"},
    {"time": 3.0, "event": "aggregate", "edge_round": None, "loss": None},
]


def refused(*changed: dict[str, object]) -> str:
    with pytest.raises(ValueError, match="events cannot be read: ") as caught:
        read_events(json.dumps(list(changed)))
    return str(caught.value)


def test_events_travel_without_what_their_senders_place_tells() -> None:
    own = [{**event, "tier": "edge", "node": "edge-0"} for event in EVENTS]
    text = write_events(own)
    assert "edge-0" not in text
    assert read_events(text) == EVENTS
    assert read_events(write_events([])) == []


def test_what_an_edges_ledger_holds_can_travel(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    facts = {"round": 1, "edge_round": 2, "peer": "client-0"}
    ledger.event("resend", tier="edge", node="edge-1", **facts, reason="the node was restarted")
    ledger.event("restart", tier="edge", node="edge-1", round=1, edge_round=2)
    travelled = read_events(write_events(list(read_lines(ledger.path))))
    assert [{**event, "tier": "edge", "node": "edge-1"} for event in travelled] == list(read_lines(ledger.path))


@pytest.mark.parametrize("kind", ["commit", "finish", "fail", "plan", "evaluate", "start", "", None, 3])
def test_an_edge_cannot_tell_what_only_the_root_knows(kind: object) -> None:
    assert "0.event" in refused({**SENT, "event": kind})


@pytest.mark.parametrize("extra", ["tier", "node", "model", "<script>"])
def test_an_edge_cannot_speak_for_others_or_in_words_of_its_own(extra: str) -> None:
    assert f"0.{extra}" in refused({**SENT, extra: "root"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("time", "soon"),
        ("time", None),
        ("time", 1e400),
        ("round", -1),
        ("edge_round", 1.5),
        ("peer", 7),
        ("peer", "x" * 2001),
        ("hop", "backbone"),
        ("task", "register"),
        ("parameters", -1),
        ("parameters", 1.5),
        ("payload_bytes", -8),
        ("encoded_bytes", "many"),
        ("samples", -1),
        ("loss", 1e400),
        ("seconds", "NaN"),
        ("reason", ["why"]),
        ("clients", "client-0"),
        ("clients", ["x" * 2001]),
    ],
)
def test_entries_of_a_wrong_type_or_size_are_refused(key: str, value: object) -> None:
    assert f"0.{key}" in refused({**SENT, key: value})


@pytest.mark.parametrize("text", ["", "{", "{}", "null", "[1]", "[[]]", "[null]", '[{"time": NaN, "event": "send"}]'])
def test_text_that_is_no_list_of_events_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="events cannot be read"):
        read_events(text)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match="events cannot be read"):
        read_events(f"[{text}")


def test_a_message_with_hostile_events_is_refused_as_a_whole() -> None:
    model = packed(1.0)
    update = EdgeUpdate(exact(model), "edge-0", 1, [1.0], [EdgeRound([], 0, None, 0.0)], EVENTS).write()
    roster = Roster("edge-0", [profile(0, [1.0])], EVENTS).write()
    assert EdgeUpdate.read(update, model.structure).events == Roster.read(roster).events == EVENTS
    for content, record in ((update, "report"), (roster, "roster")):
        content[record]["events"] = json.dumps([{**SENT, "event": "finish"}])
    with pytest.raises(MessageError, match=r"events cannot be read: 0\.event"):
        EdgeUpdate.read(update, model.structure)
    with pytest.raises(MessageError, match=r"events cannot be read: 0\.event"):
        Roster.read(roster)


def test_long_texts_are_cut_and_no_reason_to_lose_the_rest() -> None:
    [event] = read_events(
        write_events([{"time": 1.0, "event": "lost", "tier": "edge", "node": "e", "reason": "x" * 9999}])
    )
    assert event["reason"] == "x" * 2000

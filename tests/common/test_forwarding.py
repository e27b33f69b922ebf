"""What an edge may tell of itself, and what is refused."""

import json
from pathlib import Path

import pytest
from helpers import exact, packed, profile
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.run.events import EVENTS, Accept, Aggregate, Event, Lost, Refuse, Register, Resend, Restart, Send
from fedphd.common.run.forwarding import TOLD_BY_EDGES, read_events, write_events
from fedphd.common.run.json_lines import read_lines
from fedphd.common.run.ledger import Ledger, read_entry
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
COUNTED = {"hop": "access", "parameters": 0, "payload_bytes": 640, "encoded_bytes": 700, "structure": None}
LINES = [
    {"time": 1.0, "event": "register", "clients": ["client-0", "client-1"]},
    SENT,
    {**SENT, "time": 2.0, "event": "accept", "samples": 10, "loss": 0.25, "seconds": 1.5},
    {"time": 2.2, "event": "accept", "round": 3, "peer": "client-0", "task": "draw", **COUNTED},
    {"time": 2.5, "event": "lost", "round": 3, "edge_round": None, "peer": "client-0", "reason": "error 5: away"},
    {"time": 2.6, "event": "resend", "peer": "a client", "reason": "away"},
]


def told(line: dict[str, object]) -> Event:
    """Make the event that a line tells."""
    return EVENTS[str(line["event"])].read({key: value for key, value in line.items() if key != "event"})


def refused(*changed: dict[str, object]) -> str:
    with pytest.raises(ValueError, match="events cannot be read: ") as caught:
        read_events(json.dumps(list(changed)))
    return str(caught.value)


def test_events_travel_as_they_are_in_the_ledger_but_for_tier_and_node() -> None:
    text = write_events([told(line) for line in LINES])
    assert json.loads(text) == LINES
    assert ": " not in text.replace("error 5: away", "")  # no byte is wasted
    assert write_events(read_events(text)) == text
    assert read_events(write_events([])) == []


def test_what_an_edges_ledger_holds_can_travel(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    where = {"round": 1, "edge_round": 2, "peer": "client-0"}
    counted = {"hop": "access", "parameters": 4, "payload_bytes": 16, "encoded_bytes": 90, "structure": "abc"}
    written = [
        Register(clients=["client-0"]),
        Send(**where, **counted),
        Resend(**where, **counted, reason="the node was restarted"),
        Resend(peer="client-0", reason="the node was restarted"),
        Accept(**where, **counted, samples=3, loss=0.5, seconds=0.1),
        Refuse(**where, reason="not finite"),
        Lost(round=1, peer="client-0", task="draw", reason="error 5"),
        Aggregate(round=1, edge_round=2, clients=["client-0"], samples=3, loss=0.5, seconds=0.2),
        Restart(round=1, edge_round=2),
    ]
    assert {one.name for one in written} == set(TOLD_BY_EDGES)
    for event in written:
        ledger.write(event, "edge-1")
    travelled = read_events(write_events(written))
    assert travelled == written == [entry.event for line in read_lines(ledger.path) if (entry := read_entry(line))]


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
def test_facts_of_a_wrong_type_or_size_are_refused(key: str, value: object) -> None:
    line = next(line for line in reversed(LINES) if key in line)
    assert f"0.{key}" in refused({**line, key: value})


@pytest.mark.parametrize("text", ["", "{", "{}", "null", "[1]", "[[]]", "[null]", '[{"time": NaN, "event": "send"}]'])
def test_text_that_is_no_list_of_events_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="events cannot be read"):
        read_events(text)


@given(st.text().filter(lambda text: text.strip() != "]"))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match="events cannot be read"):
        read_events(f"[{text}")


def test_what_a_kind_of_event_must_have_is_not_left_out() -> None:
    for key in ("time", "round", "peer", "hop", "encoded_bytes", "structure"):
        assert f"0.{key}" in refused({name: value for name, value in SENT.items() if name != key})


def test_text_of_any_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="events cannot be read"):
        read_events("[" * 100_000)


def test_a_message_with_hostile_events_is_refused_as_a_whole() -> None:
    model, sound = packed(1.0), [told(line) for line in LINES]
    update = EdgeUpdate(exact(model), "edge-0", 1, [1.0], [EdgeRound([], 0, None, 0.0)], sound).write()
    roster = Roster("edge-0", [profile(0, [1.0])], sound).write()
    assert EdgeUpdate.read(update, model.structure).events == Roster.read(roster).events == sound
    for content, record in ((update, "report"), (roster, "roster")):
        content[record]["events"] = json.dumps([{**SENT, "event": "finish"}])
    with pytest.raises(MessageError, match=r"events cannot be read: 0\.event"):
        EdgeUpdate.read(update, model.structure)
    with pytest.raises(MessageError, match=r"events cannot be read: 0\.event"):
        Roster.read(roster)


def test_long_texts_are_cut_and_no_reason_to_lose_the_rest() -> None:
    [event] = read_events(write_events([Lost(round=1, peer="client-0", reason="x" * 9999)]))
    assert isinstance(event, Lost)
    assert event.reason == "x" * 2000

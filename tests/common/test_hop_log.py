"""What crossed a hop: the counts, and the ledger's line about each message."""

import json

import pytest
from flwr.app import ConfigRecord, RecordDict
from helpers import events, exact, packed, three_parts
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.config import EXACT
from fedphd.common.run.events import Accept, Lost, Send
from fedphd.common.run.hop_log import HopLog
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec.coded import code
from fedphd.common.wire.messages import ClientUpdate, content_bytes
from fedphd.common.wire.traffic import LANES, NO_TRAFFIC, Traffic, total

MODEL = three_parts([1.0, 2.0, 3.0], [4.0], [5.0, 6.0])
HALF = EXACT.like("float16")
WHERE = {"round": 1, "peer": "client-0"}
COUNTS = st.builds(Traffic, *[st.integers(0, 2**40)] * 3)


# --- counts -----------------------------------------------------------------------------------------


def test_counts_by_hand() -> None:
    # Six numbers as float32, and as float16 beside their control variates' three.
    assert Traffic.of(exact(MODEL)) == Traffic(1, 6, 24)
    assert Traffic.of(code(MODEL, HALF), exact(packed(1.0, 2.0, 3.0))) == Traffic(1, 9, 12 + 12)
    assert Traffic.of(exact(MODEL), None) == Traffic.of(exact(MODEL))
    assert Traffic.of(None) == Traffic(1, 0, 0)  # a message all the same


@given(st.lists(COUNTS, max_size=5))
def test_totals_are_sums_of_each_count(traffic: list[Traffic]) -> None:
    assert total(traffic) == Traffic(
        sum(one.messages for one in traffic),
        sum(one.parameters for one in traffic),
        sum(one.bytes for one in traffic),
    )
    assert total([NO_TRAFFIC, *traffic]) == total(traffic)


def test_each_hop_has_two_lanes() -> None:
    assert set(LANES) == {f"{hop}_{way}" for hop in ("access", "backbone") for way in ("down", "up")}


# --- the ledger -------------------------------------------------------------------------------------


def update() -> tuple[ClientUpdate, RecordDict]:
    made = ClientUpdate(code(MODEL, HALF), "client-0", 5, 10, 0.25, 1.5, control=exact(MODEL))
    return made, made.write()


def test_a_line_tells_who_what_and_how_much(ledger: Ledger) -> None:
    log, (sent, content) = HopLog(ledger, "access", "edge-3"), update()
    counted = log.crossed(Accept, content, sent.model, sent.control, round=3, peer="client-0", loss=None)
    assert counted == Traffic(1, 12, 12 + 24)
    assert events(ledger) == [
        {
            "event": "accept",
            "tier": "edge",
            "node": "edge-3",
            "hop": "access",
            "parameters": 12,
            "payload_bytes": 36,
            "encoded_bytes": content_bytes(content),
            "structure": MODEL.structure.id,
            "round": 3,
            "peer": "client-0",
            "loss": None,
        }
    ]


def test_encoded_bytes_are_all_bytes_that_flower_counts(ledger: Ledger) -> None:
    _, content = update()
    assert content_bytes(content) == sum(record.count_bytes() for record in content.values()) > 36


def test_the_structure_is_the_sent_models(ledger: Ledger) -> None:
    """... not that of the control variates, which may hold fewer parts."""
    log = HopLog(ledger, "access", "edge-0")
    log.crossed(Send, RecordDict(), exact(MODEL), exact(packed(1.0)), **WHERE)
    log.crossed(Send, RecordDict(), None, **WHERE)
    assert [event["structure"] for event in events(ledger)] == [MODEL.structure.id, None]


def test_facts_of_the_caller_come_before_the_counted_ones(ledger: Ledger) -> None:
    """Images are no model: the caller counts their bytes."""
    log = HopLog(ledger, "access", "edge-0")
    counted = log.crossed(Accept, RecordDict({"x": ConfigRecord({"y": 1})}), **WHERE, payload_bytes=640)
    [event] = events(ledger)
    assert (counted, event["payload_bytes"], event["parameters"]) == (Traffic(1, 0, 0), 640, 0)


@pytest.mark.parametrize(
    ("exists", "counted", "encodes"), [(True, Traffic(1, 6, 24), True), (False, NO_TRAFFIC, False)]
)
def test_without_an_edge_tier_nothing_crosses_the_backbone(
    ledger: Ledger, exists: bool, counted: Traffic, encodes: bool
) -> None:
    log = HopLog(ledger, "backbone", exists=exists)
    _, content = update()
    assert log.crossed(Send, content, exact(MODEL), round=1, peer="edge-0") == counted == log.count(exact(MODEL))
    [event] = events(ledger)
    assert (event["parameters"], event["payload_bytes"]) == (counted.parameters, counted.bytes)
    assert (event["encoded_bytes"] > 0) is encodes
    assert (event["peer"], event["structure"]) == ("edge-0", MODEL.structure.id)


def test_other_events_have_no_counts(ledger: Ledger) -> None:
    HopLog(ledger, "access", "edge-0").write(Lost(round=1, peer="client-1", reason="away"))
    told = {"event": "lost", "tier": "edge", "node": "edge-0", "round": 1, "peer": "client-1", "reason": "away"}
    assert events(ledger) == [told]
    json.dumps(events(ledger), allow_nan=False)

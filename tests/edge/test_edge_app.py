"""The edge's ServerApp between a spool and a grid of clients."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from helpers import SHARED, download, small_config, three_parts
from served_edge import ServedEdge, ask, failure
from small_edge import files, model_of, order, two, update_of

import fedphd.edge.app
import fedphd.edge.spool
from fedphd.common.config import to_run_config
from fedphd.common.run.events import Accept, Aggregate, Register, Send
from fedphd.common.run.json_lines import read_lines
from fedphd.common.run.ledger import Entry, read_entry
from fedphd.common.wire.messages import DRAW, REGISTER, TRAIN, Errand, Roster
from fedphd.edge.app import app
from fedphd.edge.spool import EDGE_KEY, SPOOL_KEY, Spool

BOTH = [0, 1]


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.edge.app, "POLL", 0.005)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "1"


def test_orders_are_answered(folder: Path) -> None:
    with ServedEdge(folder).serving(two().grid()) as spool:
        roster = Roster.read(ask(spool, REGISTER, RecordDict()))
        first = update_of(ask(spool, TRAIN, order(BOTH, BOTH)))
        second = update_of(ask(spool, TRAIN, order([0], first=6, root_round=4)))
    assert [profile.client for profile in roster.profiles] == ["client-0", "client-1"]
    assert model_of(first) == [8.0, 18.0]
    assert model_of(second) == [1.0, 11.0]


def test_each_event_travels_to_the_root_once_and_stays_here(folder: Path) -> None:
    edge_tier = ServedEdge(folder)
    with edge_tier.serving(two().grid()) as spool:
        told = Roster.read(ask(spool, REGISTER, RecordDict())).events
        told += update_of(ask(spool, TRAIN, order(BOTH, BOTH))).events
        told += update_of(ask(spool, TRAIN, order(BOTH, first=6, root_round=4))).events
    kept = [entry for line in read_lines(edge_tier.ledger.path) if (entry := read_entry(line))]
    assert [Entry("edge", "edge-0", event) for event in told] == kept
    assert Counter(map(type, told)) == {Register: 1, Send: 6, Accept: 6, Aggregate: 3}


def test_an_order_that_fails_is_told_and_the_edge_serves_on(folder: Path) -> None:
    with ServedEdge(folder).serving(two().grid()) as spool:
        assert failure(spool, TRAIN, order([9])) == "MessageError: edge-0 has no clients client-9"
        assert "MessageError: no ConfigRecord 'order'" in failure(spool, TRAIN, RecordDict())
        asked = "query.register, train, train.local, evaluate, evaluate.assess, query.fetch, query.end"
        assert f"does not answer 'query.other' but {asked}" in failure(spool, "query.other", RecordDict())
        assert model_of(update_of(ask(spool, TRAIN, order(BOTH)))) == [4.0, 14.0]


# --- the app ----------------------------------------------------------------------------------------


@pytest.fixture
def context(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(fedphd.edge.app, "log_to", lambda _file: None)  # it would change the logging of all tests
    config = small_config("topology.clients=2", "topology.edges=1")
    run_config = {**to_run_config(config, tmp_path / "run"), EDGE_KEY: "edge-0", SPOOL_KEY: str(folder)}
    return Context(run_id=2, node_id=1, node_config={}, state=RecordDict(), run_config=run_config)


def test_the_app_serves_its_spool_until_the_end_and_tidies_up(folder: Path, context: Context) -> None:
    thread = threading.Thread(target=app, args=(two().grid(), context))
    thread.start()
    spool = Spool(folder)
    try:
        update = update_of(ask(spool, TRAIN, order(BOTH)))
        assert spool.served
    finally:
        spool.end()
        thread.join()
    assert model_of(update) == [4.0, 14.0]
    assert not spool.served
    left = {file.name for file in folder.iterdir()} - {"lock", "early"}
    assert left == {"end", "ledger.jsonl", "members.json"}


def test_what_a_resumed_run_builds_on_outlives_the_end(folder: Path) -> None:
    """A root that fails ends the run as one that is done; when it is resumed, edges go on from what they kept."""
    start = download(three_parts([0.0], [10.0], [20.0]), shared=SHARED["udec"])
    edge_tier, clients = ServedEdge(folder, "exchange=udec"), two("exchange=udec")
    with edge_tier.serving(clients.grid()) as spool:
        ask(spool, TRAIN, order(BOTH, start=start))
        ask(spool, DRAW, Errand(start, 3, ["client-0"], 1).write())
    kept = files(folder / "state")
    assert {file.parent.name for file in kept} == {"received", "gathered"}
    Spool(folder).clear()
    assert files(folder / "state") == [file for file in kept if file.parent.name == "received"]
    assert not (folder / "orders").exists()


def test_the_app_has_nothing_to_do_for_a_run_that_is_over(folder: Path, context: Context) -> None:
    Spool(folder).end()
    app(two().grid(), context)
    assert not (folder / "orders").exists()


def test_a_second_app_leaves_the_first_one_alone(
    folder: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fedphd.edge.spool, "LOCK_PATIENCE", 0.05)
    with ServedEdge(folder).serving(two().grid()) as spool:
        with pytest.raises(fedphd.edge.spool.SpoolTakenError):
            app(two().grid(), context)
        assert model_of(update_of(ask(spool, TRAIN, order(BOTH)))) == [4.0, 14.0]

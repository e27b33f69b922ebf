"""The small modules that all others stand on: seeds, names, the ledger, errors."""

import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import small_config
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.config.topology import client_id, edge_ids, homes, members
from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.run.events import Fail, Refuse
from fedphd.common.run.json_lines import JsonLines, read_lines
from fedphd.common.run.ledger import Ledger
from fedphd.common.training.seeding import derive_seed, numpy_rng

# --- seeding ----------------------------------------------------------------------------------------

NAMES = st.lists(st.one_of(st.text(max_size=5), st.integers(-5, 5)), max_size=3)


@given(st.integers(0, 3), NAMES, st.integers(0, 3), NAMES)
def test_streams_are_told_apart_by_all_their_names(a: int, names: list, b: int, others: list) -> None:
    seed = derive_seed(a, *names)
    assert 0 <= seed < 2**63
    assert (seed == derive_seed(b, *others)) == (json.dumps([a, *names]) == json.dumps([b, *others]))


def test_streams_are_the_same_in_every_process() -> None:
    """... unlike Python's own hashes of text."""
    code = "from fedphd.common.training.seeding import derive_seed; print(derive_seed(3, 'train', 'client-1', 7))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(output) == derive_seed(3, "train", "client-1", 7)


def test_generators_of_one_stream_draw_the_same() -> None:
    a, b, c = numpy_rng(1, "x", 2), numpy_rng(1, "x", 2), numpy_rng(1, "x", 3)
    drawn = a.random(4)
    np.testing.assert_array_equal(drawn, b.random(4))
    assert (drawn != c.random(4)).all()


# --- topology ---------------------------------------------------------------------------------------


def test_without_homes_every_client_reaches_every_edge() -> None:
    topology = small_config("topology.clients=2").topology
    assert edge_ids(topology) == ["edge-0", "edge-1"]
    # The first homes go round, so that a fixed assignment spreads the clients.
    assert homes(topology) == {"client-0": ["edge-0", "edge-1"], "client-1": ["edge-1", "edge-0"]}


def test_homes_keep_their_order() -> None:
    topology = small_config("topology.homes=[[1,0],[1],[0],[0,1]]").topology
    assert homes(topology)[client_id(0)] == ["edge-1", "edge-0"]
    assert members(topology, "edge-0") == ["client-0", "client-2", "client-3"]
    assert members(topology, "edge-1") == ["client-0", "client-1", "client-3"]


def test_a_flat_topology_has_one_edge_within_the_root() -> None:
    topology = small_config("topology.edges=0").topology
    assert edge_ids(topology) == ["edge-0"]
    assert members(topology, "edge-0") == ["client-0", "client-1", "client-2", "client-3"]


# --- ledger -----------------------------------------------------------------------------------------


def test_events_are_lines_in_their_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "ledger.jsonl")
    ledger.write(Refuse(round=1, edge_round=None, peer="client-1", reason="not finite"), "edge-0")
    ledger.write(Fail(reason='two\nlines and "quotes" é'))
    first, second = read_lines(ledger.path)
    assert isinstance(first.pop("time"), float)
    assert first == {
        "event": "refuse",
        "tier": "edge",
        "node": "edge-0",
        "round": 1,
        "edge_round": None,  # as given; what was not given, as the task, is not there
        "peer": "client-1",
        "reason": "not finite",
    }
    assert (second["tier"], second["node"]) == ("root", "root")
    assert second["reason"] == 'two\nlines and "quotes" é'
    assert len(ledger.path.read_bytes().split(b"\n")) == 3


def test_the_ledger_goes_on_where_it_was(tmp_path: Path) -> None:
    for n in range(3):
        JsonLines(tmp_path / "lines").write(n=n)
    assert [line["n"] for line in read_lines(tmp_path / "lines")] == [0, 1, 2]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "lines")

    def write(thread: int) -> None:
        for n in range(50):
            lines.write(thread=thread, n=n, text="x" * 2000)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = list(read_lines(lines.path))
    assert len(read) == 300
    assert [line["n"] for line in read if line["thread"] == 3] == list(range(50))


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "lines")
    lines.write(n=1)
    with lines.path.open("a") as file:
        file.write('{"n": 2')
    assert [line["n"] for line in read_lines(lines.path)] == [1]


def test_a_line_that_a_killed_process_left_torn_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    JsonLines(path).write(n=1)
    with path.open("a") as file:
        file.write('{"n": 2')
    JsonLines(path).write(n=3)
    assert [line["n"] for line in read_lines(path)] == [1, 3]


def test_a_missing_ledger_is_empty(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "none")) == []


def test_numbers_that_json_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonLines(tmp_path / "lines").write(loss=float("nan"))
    assert list(read_lines(tmp_path / "lines")) == []


# --- errors -----------------------------------------------------------------------------------------


def test_setting_errors_say_key_value_and_advice_also_after_pickling() -> None:
    error = SettingError("topology.edges", 11, "use at most 10")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(one, FedPhDError)
        assert str(one) == "topology.edges=11: use at most 10"
        assert (one.key, one.value, one.advice) == ("topology.edges", 11, "use at most 10")
    assert str(SettingError("ema_decay", None, "x")) == "ema_decay=null: x"

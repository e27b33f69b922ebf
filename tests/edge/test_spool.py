"""The hand-over between gateway and ServerApp: each order once, whoever is killed and started again."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, RecordDict

import fedphd.edge.spool
from fedphd.edge.spool import KEPT, KINDS, OrderFailedError, Spool, SpoolTakenError


def content(number: int) -> RecordDict:
    return RecordDict({"order": ConfigRecord({"number": number})})


def number(given: RecordDict | None) -> object:
    assert given is not None
    return given["order"]["number"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "17"


@pytest.fixture
def gateway(folder: Path) -> Spool:
    return Spool(folder)


@pytest.fixture
def server(folder: Path) -> Spool:
    return Spool(folder)


# --- orders and answers -----------------------------------------------------------------------------


def test_an_order_and_its_answer_cross_over(gateway: Spool, server: Spool) -> None:
    assert server.next_order() is None
    order_id = gateway.put_order("train", content(1))
    order = server.next_order()
    assert (order.id, order.message_type, number(order.content)) == (order_id, "train", 1)
    assert gateway.take_answer(order_id) is None
    server.put_answer(order.id, content(10))
    assert server.next_order() is None
    assert number(gateway.take_answer(order_id)) == 10


def test_the_same_order_twice_is_one_order(gateway: Spool, server: Spool) -> None:
    """The root sends it again when the gateway was restarted: before the answer, or after it."""
    order_id = gateway.put_order("train", content(1))
    assert Spool(gateway.folder).put_order("train", content(1)) == order_id
    server.put_answer(order_id, content(10))
    assert Spool(gateway.folder).put_order("train", content(1)) == order_id
    assert server.next_order() is None
    assert number(gateway.take_answer(order_id)) == number(gateway.take_answer(order_id)) == 10


def test_other_contents_and_other_types_are_other_orders(gateway: Spool) -> None:
    records = RecordDict({"other": ConfigRecord({"number": 1})})
    orders = [("train", content(1)), ("train", content(2)), ("query.register", content(1)), ("train", records)]
    assert len({gateway.put_order(kind, given) for kind, given in orders}) == 4


def test_the_newest_order_comes_first(gateway: Spool, server: Spool) -> None:
    """For an older one without an answer nobody waits any more."""
    first, second = gateway.put_order("train", content(2)), gateway.put_order("train", content(1))
    assert server.next_order().id == second
    server.put_answer(second, content(0))
    assert server.next_order().id == first


def test_a_failure_is_told_once_and_then_the_order_is_tried_again(gateway: Spool, server: Spool) -> None:
    order_id = gateway.put_order("train", content(1))
    server.put_failure(order_id, "QuorumError: 1 of 4 clients")
    assert server.next_order() is None
    with pytest.raises(OrderFailedError, match="QuorumError: 1 of 4 clients"):
        gateway.take_answer(order_id)
    assert gateway.take_answer(order_id) is None
    assert server.next_order() is None
    assert gateway.put_order("train", content(1)) == order_id
    assert server.next_order().id == order_id
    server.put_answer(order_id, content(10))
    assert number(gateway.take_answer(order_id)) == 10


def test_the_newest_orders_stay_with_their_answers(gateway: Spool, server: Spool) -> None:
    ids = []
    for one in range(KEPT + 3):
        ids.append(gateway.put_order("train", content(one)))
        server.progress(ids[-1]).save(content(one))
        server.put_failure(ids[-1], "why") if one == 0 else server.put_answer(ids[-1], content(10 * one))
    for kind in ("orders", "answers"):
        assert {file.stem for file in (gateway.folder / kind).iterdir()} == set(ids[-KEPT:])
    assert list((gateway.folder / "progress").iterdir()) == []
    assert gateway.take_answer(ids[0]) is None
    assert number(gateway.take_answer(ids[-KEPT])) == 10 * (len(ids) - KEPT)


def test_torn_and_foreign_files_are_no_orders(gateway: Spool, server: Spool) -> None:
    (gateway.folder / "orders" / "torn.safetensors").write_bytes(b"torn")
    (gateway.folder / "orders" / ".x.safetensors.1.draft").write_bytes(b"")
    order_id = gateway.put_order("train", content(1))
    assert server.next_order().id == order_id


def test_an_order_that_is_forgotten_at_that_moment_is_in_nobodys_way(gateway: Spool, server: Spool) -> None:
    """The gateway removes a file while the ServerApp looks through the folder: a name without a file."""
    (gateway.folder / "orders" / "forgotten.safetensors").symlink_to(gateway.folder / "nothing")
    order_id = gateway.put_order("train", content(1))
    assert server.next_order().id == order_id


# --- the part that is done --------------------------------------------------------------------------


def test_what_is_done_of_an_order_outlives_the_process(gateway: Spool, folder: Path) -> None:
    order_id = gateway.put_order("train", content(1))
    progress = Spool(folder).progress(order_id)
    assert progress.load() is None
    progress.save(content(5))
    progress.save(content(6))
    assert number(Spool(folder).progress(order_id).load()) == 6
    assert Spool(folder).next_order().id == order_id


def test_what_is_done_outlives_a_failure_but_not_the_answer(gateway: Spool, server: Spool) -> None:
    order_id = gateway.put_order("train", content(1))
    server.progress(order_id).save(content(5))
    server.put_failure(order_id, "why")
    with pytest.raises(OrderFailedError):
        gateway.take_answer(order_id)
    assert number(server.progress(order_id).load()) == 5
    gateway.put_order("train", content(1))
    server.put_answer(order_id, content(10))
    assert server.progress(order_id).load() is None


def test_torn_progress_is_none(server: Spool) -> None:
    progress = server.progress("some")
    progress.save(content(5))
    progress.file.write_bytes(progress.file.read_bytes()[:-3])
    assert progress.load() is None


# --- life and end -----------------------------------------------------------------------------------


def test_a_spool_is_served_while_a_serverapp_lives(gateway: Spool, server: Spool) -> None:
    assert not gateway.served
    with server.serving():
        assert gateway.served
        assert gateway.served  # looking takes nothing away
    assert not gateway.served


def test_a_spool_is_served_by_one_serverapp(gateway: Spool, server: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.edge.spool, "LOCK_PATIENCE", 0.05)
    taken = pytest.raises(SpoolTakenError, match=f"another ServerApp serves {gateway.folder}")
    with server.serving(), taken, Spool(server.folder).serving():
        pytest.fail("two ServerApps serve one spool")
    with Spool(server.folder).serving():
        assert gateway.served


def test_a_killed_serverapp_serves_no_more(gateway: Spool) -> None:
    code = "import sys, pathlib; from edge.spool import Spool\n"
    code += "with Spool(pathlib.Path(sys.argv[1])).serving(): print('serves', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(gateway.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "serves\n"
        assert gateway.served
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not gateway.served
    with gateway.serving():
        pass


def test_the_end_is_told_and_what_is_over_is_removed(gateway: Spool, server: Spool, folder: Path) -> None:
    gateway.put_order("train", content(1))
    (folder / "ledger.jsonl").write_text("{}\n")
    assert not server.ended
    gateway.end()
    gateway.end()
    assert server.ended
    server.clear()
    assert {file.name for file in folder.iterdir()} == {"end", "ledger.jsonl"}
    assert Spool(folder).ended


def test_all_is_for_the_owner_only(gateway: Spool, server: Spool, folder: Path) -> None:
    before = os.umask(0o022)
    try:
        other = Spool(folder.parent / "18")
        order_id = other.put_order("train", content(1))
        other.progress(order_id).save(content(2))
        other.put_failure(order_id, "why")
        other.end()
    finally:
        os.umask(before)
    for path in [other.folder, *other.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert {path.name for path in other.folder.iterdir()} == {*KINDS, "end"}

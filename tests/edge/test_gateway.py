"""The edge's node of the root: it carries orders over and back, and keeps the ServerApp alive."""

import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flwr.app import Context, Message, RecordDict
from helpers import download, packed, small_config
from scripted import Clock
from small_edge import model_of, order, two, update_of
from stub_flwr import StubFlwr

import fedphd.edge.app
import fedphd.edge.gateway
from fedphd.common.config import from_run_config, to_run_config
from fedphd.common.config.load import RUN_ID_KEY
from fedphd.common.config.topology import edge_timeout
from fedphd.common.flower.control import Control, ControlError
from fedphd.common.wire.messages import (
    ASSESS,
    DRAW,
    END,
    FETCH,
    LOCAL,
    REGISTER,
    TRAIN,
    Assessment,
    ClientUpdate,
    Drawing,
    Errand,
    Fetch,
    Gathered,
    Roster,
)
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.app import serve
from fedphd.edge.forwarding import ForwardingLedger
from fedphd.edge.gateway import START_PATIENCE, SUBMIT_AGAIN, EdgeRun, app
from fedphd.edge.spool import EDGE_KEY, SPOOL_KEY, OrderFailedError, Spool

CONFIG = small_config("topology.clients=2", "topology.edges=1")
RUN = "run-1"  # the root's run, also after it was resumed


@pytest.fixture(autouse=True)
def quick_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.edge.gateway, "QUICKEST_POLL", 0.005)
    monkeypatch.setattr(fedphd.edge.app, "POLL", 0.005)
    monkeypatch.setattr(fedphd.edge.gateway, "log_to", lambda _file: None)  # it would change the logging of all tests


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def context(base: Path, tmp_path: Path) -> Context:
    facts = {"edge-id": "edge-0", "spool": str(base), "superlink": "edge-0-superlink:8000", "root-certificates": ""}
    run_config = {**to_run_config(CONFIG, tmp_path / "run"), RUN_ID_KEY: RUN}
    return Context(run_id=1, node_id=5, node_config=facts, state=RecordDict(), run_config=run_config)


@contextmanager
def serverapp(base: Path) -> Iterator[None]:
    """Serve the spool with a real edge of two clients."""
    spool = Spool(base / RUN)
    ledger = ForwardingLedger(spool.folder / "ledger.jsonl")
    aggregator = EdgeAggregator("edge-0", CONFIG, ledger, spool.folder / "early", spool.folder / "state")
    thread = threading.Thread(target=serve, args=(two().grid(), aggregator, spool))
    with spool.serving():
        thread.start()
        try:
            yield
        finally:
            spool.end()
            thread.join()


@pytest.fixture
def alive(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give a ServerApp that lives: submitting another one would be wrong."""
    monkeypatch.setattr(EdgeRun, "_submit", lambda _run: pytest.fail("submitted, though one is alive"))
    with serverapp(base):
        yield


def message(message_type: str, content: RecordDict | None = None) -> Message:
    return Message(content or RecordDict(), 5, message_type)


# --- orders -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("alive")
def test_the_root_is_answered_as_if_the_edge_were_its_node(context: Context) -> None:
    roster = Roster.read(app(message(REGISTER), context).content)
    assert [profile.client for profile in roster.profiles] == ["client-0", "client-1"]
    asked = message(TRAIN, order([0, 1]))
    reply = app(asked, context)
    assert model_of(update_of(reply.content)) == [4.0, 14.0]
    assert reply.metadata.message_type == TRAIN
    assert reply.metadata.dst_node_id == asked.metadata.src_node_id


@pytest.mark.usefixtures("alive")
def test_errands_go_to_the_edge_as_well(context: Context) -> None:
    down = download(packed(0.0, 10.0))
    for task, images in ((LOCAL, 0), (DRAW, 3), (ASSESS, 2)):
        reply = app(message(task, Errand(down, 0, ["client-1"], images).write()), context)
        assert Gathered.read(reply.content).clients == ["client-1"]
        given = app(message(FETCH, Fetch(task, 0, "client-1").write()), context).content
        if task == LOCAL:
            assert ClientUpdate.read(given, down.structure).model.decode().vector.tolist() == [5.0, 15.0]
        elif task == DRAW:
            assert Drawing.read(given, (3, 1, 8, 8)).client == "client-1"
        else:
            assert Assessment.read(given).loss == [5.0] * 10


@pytest.mark.usefixtures("alive")
def test_an_order_that_comes_again_has_its_answer(context: Context) -> None:
    first, second = (app(message(TRAIN, order([0])), context) for _ in range(2))
    assert first.content.object_id == second.content.object_id  # seconds and all: it was not trained again


@pytest.mark.usefixtures("alive")
def test_a_failure_of_the_edge_is_the_gateways(context: Context) -> None:
    with pytest.raises(OrderFailedError, match="MessageError: edge-0 has no clients client-9"):
        app(message(TRAIN, order([9])), context)
    app(message(TRAIN, order([0])), context)


def test_the_end_is_told_without_waiting_for_anyone(context: Context, base: Path) -> None:
    reply = app(message(END), context)
    assert len(reply.content) == 0
    assert Spool(base / RUN).ended


def test_the_end_of_the_run_ends_its_serverapp(context: Context, base: Path) -> None:
    with serverapp(base):
        app(message(REGISTER), context)
        app(message(END), context)
    assert Spool(base / RUN).ended


def test_an_edge_that_does_not_answer_in_time(context: Context, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock().set(monkeypatch, fedphd.edge.gateway)
    timeout = edge_timeout(CONFIG.topology)
    late = pytest.raises(OrderFailedError, match=f"edge-0 did not answer within {timeout:g} s")
    with Spool(base / RUN).serving(), late:  # alive, but busy for ever
        app(message(TRAIN, order([0])), context)
    assert Spool(base / RUN).next_order() is None  # nobody waits for it any more
    assert timeout <= clock.seconds <= timeout + 1


def test_spools_that_a_crash_of_the_root_left_behind_are_ended(context: Context, base: Path) -> None:
    left = Spool(base / "run-0")
    (left.folder / "ledger.jsonl").touch()
    left.put_order(TRAIN, order([0]))
    with serverapp(base):
        app(message(REGISTER), context)
    assert left.ended
    assert not list(left.folder.rglob("*.safetensors"))  # models take room


def test_a_run_that_another_one_took_over_from_is_told_so(context: Context, base: Path) -> None:
    Spool(base / RUN).end()
    with pytest.raises(OrderFailedError, match="edge-0 has ended this run, or works for another one"):
        app(message(TRAIN, order([0])), context)


@pytest.mark.usefixtures("alive")
def test_a_root_that_was_lost_finds_the_work_of_its_edge_when_it_is_back(context: Context, base: Path) -> None:
    app(message(REGISTER), context)
    first = app(message(TRAIN, order([0])), context)
    app(message(REGISTER), context)
    again = app(message(TRAIN, order([0])), context)
    assert again.content.object_id == first.content.object_id  # seconds and all: it was not trained again
    assert not Spool(base / RUN).ended


def test_other_things_beside_the_spools_are_left_alone(context: Context, base: Path) -> None:
    """A volume has a folder `lost+found`; an administrator may leave a note."""
    (base / "lost+found").mkdir(parents=True)
    (base / "note.txt").write_text("backed up")
    app(message(END), context)
    assert list((base / "lost+found").iterdir()) == []
    assert (base / "note.txt").read_text() == "backed up"


# --- keeping the ServerApp alive --------------------------------------------------------------------


class Submissions:
    """Counts submissions, and may fail at some, or start what was submitted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock | None = None) -> None:
        self.at: list[float] = []
        self.failures = 0
        self.started: Callable[[], None] = lambda: None
        self.clock = clock
        monkeypatch.setattr(Control, "submit", lambda *_arguments: self._submit())
        monkeypatch.setenv("FLWR_HOME", "/nowhere")
        monkeypatch.setattr(fedphd.edge.gateway.FlowerHome, "connect_to", lambda *_arguments: None)
        monkeypatch.setattr(fedphd.edge.gateway.FlowerHome, "thin_app", lambda *_arguments: Path("app"))

    def _submit(self) -> str:
        self.at.append(self.clock.seconds if self.clock else 0.0)
        if len(self.at) <= self.failures:
            raise ControlError("flwr run: the SuperLink is not there yet")
        self.started()
        return "99"


def look(clock: Clock, edge_run: EdgeRun, until: float) -> None:
    """Look for life every second."""
    while clock.seconds < until:
        edge_run.keep_alive()
        clock.sleep(1.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().set(monkeypatch, fedphd.edge.gateway)


def test_a_submitted_serverapp_has_a_minute_to_start(
    context: Context, base: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions, spool = Submissions(monkeypatch, clock), Spool(base / RUN)
    edge_run = EdgeRun(context, spool)
    look(clock, edge_run, 2.5 * START_PATIENCE)
    assert submissions.at == [0.0, START_PATIENCE, 2 * START_PATIENCE]


def test_a_submission_that_fails_is_tried_again_soon(
    context: Context, base: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submissions = Submissions(monkeypatch, clock)
    submissions.failures = 2
    look(clock, EdgeRun(context, Spool(base / RUN)), START_PATIENCE)
    assert submissions.at == [0.0, SUBMIT_AGAIN, 2 * SUBMIT_AGAIN]
    assert "edge-0: flwr run: the SuperLink is not there yet; trying again" in caplog.text


def test_nothing_is_submitted_while_one_lives_and_one_soon_after_it_died(
    context: Context, base: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions, edge_run = Submissions(monkeypatch, clock), EdgeRun(context, Spool(base / RUN))
    with Spool(base / RUN).serving():
        look(clock, edge_run, 300.0)
    assert submissions.at == []
    look(clock, edge_run, 303.0)
    assert submissions.at == [300.0]


def test_one_message_of_the_root_brings_the_edge_to_life(
    context: Context, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions = Submissions(monkeypatch)
    submissions.failures = 1
    monkeypatch.setattr(fedphd.edge.gateway, "SUBMIT_AGAIN", 0.02)
    started, over = threading.Event(), threading.Event()

    def start() -> None:
        def live() -> None:
            with serverapp(base):
                started.set()
                over.wait()

        threading.Thread(target=live).start()
        started.wait()

    submissions.started = start
    try:
        reply = app(message(TRAIN, order([1])), context)
    finally:
        over.set()
    assert model_of(update_of(reply.content)) == [5.0, 15.0]
    assert len(submissions.at) == 2


@pytest.mark.parametrize("certificates", ["", "/keys/ca.pem"])
def test_what_is_submitted_to_the_edges_superlink(
    context: Context, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: str
) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "home"))
    flwr = StubFlwr(tmp_path / "bin", monkeypatch)
    flwr.answer({"success": True, "run-id": "5"})
    context.node_config["root-certificates"] = certificates
    EdgeRun(context, Spool(base / RUN)).keep_alive()
    [call] = flwr.calls
    home = Path(str(call["home"]))
    assert home.is_relative_to(tmp_path / "home") and home != tmp_path / "home"  # that one is the SuperNode's
    connection = tomllib.loads((home / "config.toml").read_text())["superlink"]["fedphd"]
    trust = {"root-certificates": certificates} if certificates else {"insecure": True}
    assert connection == {"address": "edge-0-superlink:8000", **trust}
    [command, app_folder, name, option, run_toml, *_] = call["arguments"]  # type: ignore[misc]
    assert (command, name, option) == ("run", "fedphd", "--run-config")
    components = tomllib.loads((Path(app_folder) / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["components"]
    assert components == {"serverapp": "fedphd.edge.app:app", "clientapp": "fedphd.client.app:app"}
    run_config = tomllib.loads(Path(run_toml).read_text())
    assert (run_config[EDGE_KEY], run_config[SPOOL_KEY]) == ("edge-0", str(base / RUN))
    assert from_run_config(run_config) == CONFIG
    assert run_config["run-id"] == context.run_config["run-id"]


def test_what_flwr_says_when_it_fails_is_logged(
    context: Context, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "home"))
    StubFlwr(tmp_path / "bin", monkeypatch).answer({"success": False, "error-message": "no connection"}, code=1)
    EdgeRun(context, Spool(base / RUN)).keep_alive()
    assert "edge-0: flwr run: no connection; trying again" in caplog.text

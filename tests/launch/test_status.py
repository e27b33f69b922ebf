"""`fedphd status`: run folders written by the ledger's own writer, SuperLinks that answer by a stub of `flwr`."""

import io
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers import small_config
from rich.console import Console
from run_writer import metrics_line

from fedphd.common.config import to_yaml
from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.run.events import (
    Accept,
    Commit,
    Event,
    Fail,
    Finish,
    Lost,
    Plan,
    Refuse,
    Register,
    Resend,
    Resume,
    Send,
    Start,
)
from fedphd.common.run.json_lines import JsonLines
from fedphd.common.run.ledger import Entry, Ledger
from fedphd.launch.commands import COMMANDS
from fedphd.launch.deploy.keys import make_keys
from fedphd.launch.watch.status.picture import picture
from fedphd.launch.watch.status.standing import Bytes, Standing
from fedphd.launch.watch.status.superlinks import Answer, FlowerNode, FlowerRun, SuperLink, ask
from fedphd.launch.watch.status.table import show

T0 = 1_795_237_700.0  # seconds since the epoch: when the runs of these tests began
FRAME = {"run": "fedavg", "rounds": 3, "edge_rounds": 1, "clients": 4, "edges": 2}
COUNTED = {"parameters": 1, "payload_bytes": 4, "structure": "a"}
NAMES = {"client-0": "70", "client-1": "71", "client-2": "72", "client-3": "73"}


class Run:
    """Writes a run folder: two edges, four clients, three root rounds of one edge round; a second per event."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.metrics = JsonLines(folder / "metrics.jsonl")
        self.now = T0
        config = small_config("rounds=3", "topology.edge_rounds=1", *overrides)
        (folder / "config.yaml").write_text(to_yaml(config))

    def write(self, kind: type[Event], edge: str | None = None, **facts: object) -> None:
        self.now += 1
        self.ledger.write(kind(time=self.now, **facts), edge)

    def backbone(self, kind: type[Event], number: int, edge: str, size: int) -> None:
        self.write(kind, round=number, edge_round=None, peer=edge, hop="backbone", encoded_bytes=size, **COUNTED)

    def access(self, kind: type[Event], number: int, edge: str, client: str, size: int, **facts: object) -> None:
        where = {"round": number, "edge_round": number - 1, "peer": client, "hop": "access"}
        self.write(kind, edge, **where, encoded_bytes=size, **COUNTED, **facts)

    def start(self) -> None:
        self.write(Register, "edge-0", clients=["client-0", "client-1", "client-2", "client-3"])
        self.write(Register, "edge-1", clients=["client-0", "client-1", "client-2", "client-3"])
        self.write(Start, **FRAME)
        self.record(0, None)

    def plan(self, number: int) -> None:
        self.write(Plan, round=number, assignment=[{"edge-0": ["client-0", "client-1"], "edge-1": ["client-2"]}])

    def commit(self, number: int, loss: float) -> None:
        self.write(Commit, round=number, loss=loss, edges=["edge-0"], structure="a", weights={}, homogeneity={})

    def edge_round(self, number: int) -> None:
        """Write what edge-0 tells of its round: one client is sent its order twice, another answers garbage."""
        self.access(Send, number, "edge-0", "client-0", 1_000)
        self.access(Send, number, "edge-0", "client-1", 1_000)
        self.write(Resend, "edge-0", peer="client-3", reason="a question without a model")
        self.access(Resend, number, "edge-0", "client-1", 1_000, reason="away")
        self.access(Accept, number, "edge-0", "client-0", 1_100)
        self.write(Refuse, "edge-0", round=number, edge_round=0, peer="client-1", reason="not finite")

    def round(self, number: int) -> None:
        """Write a whole root round, in which edge-1 is lost."""
        self.plan(number)
        self.backbone(Send, number, "edge-0", 5_000)
        self.backbone(Send, number, "edge-1", 5_000)
        self.edge_round(number)
        self.backbone(Accept, number, "edge-0", 6_000)
        self.write(Lost, round=number, edge_round=None, peer="edge-1", reason="error 3")
        self.commit(number, 0.5 / number)
        self.record(number, 0.5 / number)

    def record(self, number: int, loss: float | None, **more: object) -> None:
        line = metrics_line(number, phase="sparse" if number < 2 else "pruned", loss=loss)
        self.metrics.write(**line | more)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


class SuperLinks:
    """SuperLinks on loopback: each answers about its health itself, and about the rest by a stub of `flwr`."""

    STUB = """#!/bin/sh
    address=$(sed -n 's/^address = "\\(.*\\)"/\\1/p' "$FLWR_HOME/config.toml")
    cat "{folder}/$address/$1.json" 2>/dev/null || cat "{folder}/refusal.json"
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[ThreadingHTTPServer] = []
        folder.mkdir()
        (folder / "flwr").write_text(self.STUB.format(folder=folder))
        (folder / "flwr").chmod(0o700)
        refusal = {"success": False, "error-message": "Listing all nodes...\n\nno access\n"}
        (folder / "refusal.json").write_text(json.dumps(refusal))

    def start(
        self,
        nodes: list[dict[str, object]] | None = None,
        runs: list[dict[str, object]] | None = None,
        keys: Path | None = None,
    ) -> str:
        """Start one; return its address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
        if keys is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(keys / "server.pem", keys / "server.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        (self.folder / address).mkdir()
        if nodes is not None:
            (self.folder / address / "supernode.json").write_text(json.dumps({"success": True, "nodes": nodes}))
            (self.folder / address / "ls.json").write_text(json.dumps({"success": True, "runs": runs or []}))
        return address


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def superlinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SuperLinks]:
    started = SuperLinks(tmp_path / "superlinks")
    monkeypatch.setattr("fedphd.common.flower.control.tool", lambda name: str(started.folder / name))
    yield started
    for server in started.servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder without runs, and without what containers set."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for name in ("RUN_DIR", "SUPERLINK", "ROOT_CERTIFICATES", "NODES", "TIER"):
        monkeypatch.delenv(f"FEDPHD_{name}", raising=False)


def flower_time(seconds: float | None) -> str:
    """Write a time as `flwr` does."""
    return "N/A" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def flower_node(node_id: str, status: str, online: float | None, offline: float | None = None) -> dict[str, object]:
    return {
        "node-id": node_id,
        "status": status,
        "online-at": flower_time(online),
        "offline-at": flower_time(offline),
    }


def flower_run(
    run_id: str, began: float, ended: float | None, down: int, up: int, status: str = "running"
) -> dict[str, object]:
    times = {"pending-at": flower_time(began), "finished-at": flower_time(ended)}
    traffic = {"inbound-bytes": up, "outbound-bytes": down, "total-bytes": up + down}
    return {"run-id": run_id, "fab-name": "fedphd-root", "status": status, **times, "network-traffic": traffic}


Status = dict[str, Any]
Ask = Callable[..., Status]


@pytest.fixture
def status(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Give `fedphd status --json` as a function."""

    def ask_json(*arguments: object) -> Status:
        COMMANDS["status"]([*map(str, arguments), "--json"])
        answer: Status = json.loads(capsys.readouterr().out)
        return answer

    return ask_json


def tier(status: Status, name: str) -> Status:
    return next(one for one in status["tiers"] if one["tier"] == name)


def node(status: Status, of: str, name: str | None) -> Status:
    return next(one for one in tier(status, of)["nodes"] if one["name"] == name)


# --- the run folder ---------------------------------------------------------------------------------


def test_what_is_being_done_follows_the_ledger(run: Run) -> None:
    told: list[tuple[str, str]] = []

    def look() -> None:
        folder = Standing.read(run.folder)
        told.append((folder.history.state, folder.doing))

    look()
    run.write(Start, **FRAME)
    look()
    run.record(0, None)
    look()
    run.plan(1)
    look()
    run.backbone(Accept, 1, "edge-1", 1)
    look()
    run.write(Lost, round=1, edge_round=None, peer="edge-0", reason="error 3")
    look()
    run.commit(1, 0.5)
    look()
    run.record(1, 0.5)
    look()
    run.write(Fail, reason="too\nfew edges")
    look()
    run.write(Resume, round=1)
    look()
    run.write(Start, **FRAME | {"rounds": 1})
    look()
    run.write(Finish, seconds=724.0, model="0" * 64)
    look()
    assert told == [
        ("starting", "edges and clients register"),
        ("training", "the new model is evaluated"),
        ("training", "root round 1 is planned"),
        ("training", "root round 1 is trained, waiting for edge-0, edge-1"),
        ("training", "root round 1 is trained, waiting for edge-0"),
        ("training", "root round 1 is averaged"),
        ("training", "root round 1 is evaluated"),
        ("training", "root round 2 is planned"),
        ("failed", "failed: too few edges"),
        ("starting", "resumed after root round 1, edges register"),
        ("training", "the run ends"),
        ("finished", "finished in 12 min 4 s"),
    ]


def test_bytes_by_hop_tier_and_node(run: Run) -> None:
    run.start()
    run.round(1)
    run.round(2)
    folder = Standing.read(run.folder)
    # Each round: two orders of 5000 down the backbone, one answer of 6000 up; three orders of 1000 down the access
    # hop, one of them a resend, and one update of 1100 up. What was refused or lost does not count.
    assert folder.total(hop="backbone") == folder.total(tier="root") == Bytes(20_000, 12_000)
    assert folder.total(hop="access") == folder.total(tier="edge-0") == Bytes(6_000, 2_200)
    assert folder.total(tier="root", node="edge-1") == Bytes(10_000, 0)
    assert folder.total(tier="edge-0", node="client-1") == Bytes(4_000, 0)
    assert folder.total(tier="edge-1") == Bytes(0, 0)


def test_last_heard_is_what_came_from_a_node_not_what_was_sent_to_it(run: Run) -> None:
    run.start()  # events at T0 + 1, 2, 3
    run.round(1)  # plan 4, send 5 and 6, edge-0's six events 7 to 12, accept 13, lost 14, commit 15
    folder = Standing.read(run.folder)
    heard = {key: (one.event, one.time - T0, one.round) for key, one in folder.heard.items()}
    assert heard["", "root"] == ("commit", 15, 1)
    assert heard["root", "edge-0"] == ("accept", 13, 1)
    assert heard["root", "edge-1"] == ("register", 2, None)
    assert heard["edge-0", "client-0"] == ("accept", 11, 1)
    assert heard["edge-0", "client-1"] == ("refuse", 12, 1)
    assert heard["edge-0", "client-3"] == ("register", 1, None)
    assert heard["edge-1", "client-0"] == ("register", 2, None)
    assert {name: at - T0 for name, at in folder.as_of.items()} == {"root": 15, "edge-0": 12, "edge-1": 2}


def test_metrics_of_rounds_that_a_resume_took_back_do_not_count(run: Run) -> None:
    run.start()
    run.round(1)
    run.round(2)
    run.write(Resume, round=1)
    run.write(Start, **FRAME)
    run.plan(2)
    folder = Standing.read(run.folder)
    assert (folder.history.round, folder.history.committed, list(folder.history.metrics)) == (2, 1, [0, 1])
    assert folder.doing == "root round 2 is trained, waiting for edge-0, edge-1"


def test_a_run_that_cannot_be_read_whole_is_shown_as_far_as_it_can(run: Run, status: Ask) -> None:
    run.start()
    (run.folder / "config.yaml").write_text("rounds: [")
    with run.ledger.path.open("a") as file:
        file.write('{"event": "pl')
    told = status(run.folder)
    assert told["run"]["rounds"] == 3
    assert told["run"]["method"] is None
    assert told["tiers"] == []


def test_flat_topology_has_the_clients_at_the_root(tmp_path: Path, status: Ask) -> None:
    run = Run(tmp_path / "flat", "topology.edges=0")
    run.start()
    run.plan(1)
    run.edge_round(1)
    told = status(run.folder)
    (root,) = told["tiers"]
    assert [one["name"] for one in root["nodes"]] == list(NAMES)
    assert root["ledger"] == {"down": 3_000, "up": 1_100} == told["hops"]["access"]
    assert node(told, "root", "client-0")["heard"]["event"] == "accept"
    assert told["run"]["doing"].endswith("waiting for the clients")


# --- SuperLinks ---------------------------------------------------------------------------------------


def deploy(run: Run, superlinks: SuperLinks) -> str:
    """Write deployment.json of a tree whose edge-1 is down; return the address where edge-1 was."""
    nodes = [flower_node("40", "online", T0), flower_node("41", "offline", T0 - 9, T0 + 2)]
    lost = flower_run("901", T0 - 5, T0 + 6, 700, 70, "finished:failed")
    runs = [flower_run("902", T0 + 8, None, 20_100, 12_050), lost, flower_run("900", T0 - 90, T0 - 30, 5, 5)]
    clients = [flower_node(name, "online", T0 + 1) for name in ("70", "71", "99")]
    clients += [flower_node("72", "registered", None), flower_node("98", "unregistered", T0)]
    addresses = {"root": superlinks.start(nodes, runs), "edge-0": superlinks.start(clients), "edge-1": "127.0.0.1:1"}
    names = {"root": {"edge-0": "40", "edge-1": "41"}, "edge-0": NAMES, "edge-1": {"client-0": "80"}}
    facts = {"superlinks": addresses, "certificates": "", "nodes": names}
    (run.folder / "deployment.json").write_text(json.dumps(facts))
    return addresses["edge-1"]


def test_a_whole_deployment_as_json(run: Run, superlinks: SuperLinks, status: Ask) -> None:
    run.start()
    run.round(1)
    run.plan(2)
    down = deploy(run, superlinks)
    told = status(run.folder)
    assert told["format"] == 1
    about = {key: told["run"][key] for key in ("method", "state", "round", "committed", "rounds", "phase", "loss")}
    assert about == {
        "method": "fedavg",
        "state": "training",
        "round": 2,
        "committed": 1,
        "rounds": 3,
        "phase": "sparse",
        "loss": 0.5,
    }
    assert told["run"]["lost"] is False
    assert told["hops"] == {"backbone": {"down": 10_000, "up": 6_000}, "access": {"down": 3_000, "up": 1_100}}
    assert [one["tier"] for one in told["tiers"]] == ["root", "edge-0", "edge-1"]
    root = tier(told, "root")
    # The run that was lost and the one submitted again fall into the ledger's time; the one of an hour ago does not.
    assert {one["id"]: one["counted"] for one in root["runs"]} == {"902": True, "901": True, "900": False}
    assert root["flower"] == {"down": 20_800, "up": 12_120}
    assert root["ledger"] == {"down": 10_000, "up": 6_000}
    offline = node(told, "root", "edge-1")
    assert (offline["id"], offline["status"], offline["since"]) == ("41", "offline", T0 + 2)
    assert offline["heard"] == {"time": T0 + 2, "event": "register", "round": None}
    statuses = {one["name"]: (one["id"], one["status"]) for one in tier(told, "edge-0")["nodes"]}
    assert statuses == {
        "client-0": ("70", "online"),
        "client-1": ("71", "online"),
        "client-2": ("72", "registered"),
        "client-3": ("73", "unknown"),  # SuperLink does not know it
        None: ("99", "online"),  # nobody named it; the unregistered node 98 is gone
    }
    assert tier(told, "edge-1")["superlink"] == down
    assert tier(told, "edge-1")["error"] == "Connection refused"
    assert tier(told, "edge-1")["flower"] is None
    assert {one["status"] for one in tier(told, "edge-1")["nodes"]} == {"unknown"}


def test_a_whole_deployment_as_tables(run: Run, superlinks: SuperLinks, capsys: pytest.CaptureFixture[str]) -> None:
    run.start()
    run.round(1)
    run.plan(2)
    down = deploy(run, superlinks)
    COMMANDS["status"]([str(run.folder)])
    lines = [re.sub(r" {2,}", "  ", line).rstrip() for line in capsys.readouterr().out.splitlines()]
    assert f"run folder {run.folder}  fedavg" in lines
    assert "state  root round 2 is trained, waiting for edge-0, edge-1" in lines
    assert "committed  1/3 root rounds" in lines
    assert "newest  round 1  sparse  loss 0.5000" in lines
    assert "backbone  0.0100 MB  0.00600 MB" in lines
    assert any(line.startswith("edge-0  root  online  ") and line.endswith("(accept, round 1)") for line in lines)
    assert any(re.fullmatch(r"root  127.0.0.1:\d+  running for .*, 1 before  0.0208 MB.*", line) for line in lines)
    assert any(line.startswith(f"edge-1  {down} not reached  -  -  -  ") for line in lines)
    assert f"edge-1: its SuperLink at {down} cannot be asked: Connection refused" in lines
    assert any("an edge's events come when its root round ends" in line for line in lines)


def test_one_tier_of_a_deployment(run: Run, superlinks: SuperLinks, status: Ask) -> None:
    deploy(run, superlinks)
    told = status(run.folder, "--tier", "edge-0")
    assert node(told, "edge-0", "client-0")["status"] == "online"
    assert tier(told, "root")["superlink"] is None
    assert tier(told, "root")["flower"] is None
    with pytest.raises(SettingError, match="--tier=edge-7: use one of root, edge-0, edge-1"):
        status(run.folder, "--tier", "edge-7")


@pytest.mark.parametrize("last", [None, Finish(seconds=1.0, model="0" * 64), Fail(reason="quorum")])
def test_a_run_is_lost_if_flower_ended_it_before_it_told_its_end(
    run: Run, superlinks: SuperLinks, status: Ask, last: Event | None
) -> None:
    run.start()
    if last is not None:
        run.ledger.write(last)
    address = superlinks.start([], [flower_run("9", T0, T0 + 60, 1, 1, "finished:failed")])
    told = status(run.folder, "--superlink", address, "--insecure")
    assert told["run"]["lost"] is (last is None)


def test_edge_without_a_run_folder(
    superlinks: SuperLinks,
    status: Ask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Run(tmp_path / "cwd/runs/of_another_tier")
    runs = [flower_run("8", T0, None, 300, 200), flower_run("7", T0 - 60, T0 - 9, 9, 9, "finished:completed")]
    address = superlinks.start([flower_node("70", "online", T0)], runs)
    (tmp_path / "nodes.json").write_text(json.dumps({"client-0": "70"}))
    monkeypatch.setenv("FEDPHD_SUPERLINK", address)
    monkeypatch.setenv("FEDPHD_TIER", "edge-5")
    monkeypatch.setenv("FEDPHD_NODES", str(tmp_path / "nodes.json"))
    told = status("--insecure")
    assert told["run"] is None
    assert told["hops"] == {}
    (edge,) = told["tiers"]
    assert (edge["tier"], edge["error"], edge["ledger"]) == ("edge-5", None, None)
    assert edge["flower"] == {"down": 300, "up": 200}  # the newest run's
    assert edge["nodes"][0] | {"since": 0} == {
        "name": "client-0",
        "id": "70",
        "status": "online",
        "since": 0,
        "heard": None,
        "down": None,
        "up": None,
    }
    COMMANDS["status"](["--insecure"])
    shown = capsys.readouterr().out
    assert "client-0  edge-5  online" in shown
    assert "ledger" not in shown


def test_superlink_of_a_submitted_run(tmp_path: Path, superlinks: SuperLinks, status: Ask) -> None:
    address = superlinks.start([flower_node("40", "online", T0)])
    run = Run(tmp_path / "run", "runtime=deployment", f"runtime.superlink={address}", "runtime.insecure=true")
    (tmp_path / "nodes.json").write_text(json.dumps({"edge-0": "40"}))
    told = status(run.folder, "--nodes", tmp_path / "nodes.json")
    assert {one["name"]: one["status"] for one in tier(told, "root")["nodes"]} == {
        "edge-0": "online",
        "edge-1": "unknown",
    }
    assert tier(told, "edge-0")["superlink"] is None


def test_tls_is_checked(tmp_path: Path, superlinks: SuperLinks) -> None:
    topology = small_config().topology
    for name in ("own", "foreign"):
        make_keys(tmp_path / name, topology)
    address = superlinks.start([flower_node("40", "online", T0)], keys=tmp_path / "own/root")
    assert ask(SuperLink("root", address, tmp_path / "own/root/ca.pem")).nodes == [FlowerNode("40", "online", T0, None)]
    assert str(ask(SuperLink("root", address, tmp_path / "foreign/root/ca.pem")).error).startswith(
        "its certificate is not trusted: "
    )
    gone = tmp_path / "gone.pem"
    assert ask(SuperLink("root", address, gone)).error == f"{gone}: no such file"


@pytest.mark.parametrize("secure", [False, True])
def test_superlink_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool) -> None:
    monkeypatch.setattr("fedphd.launch.watch.status.superlinks.HEALTH_TIMEOUT", 0.1)
    make_keys(tmp_path, small_config().topology)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        answer = ask(SuperLink("root", address, tmp_path / "root/ca.pem" if secure else None))
    assert answer == Answer("no answer within 0.1 s")


def test_superlink_that_refuses_is_told_by_its_last_words(superlinks: SuperLinks) -> None:
    assert ask(SuperLink("root", superlinks.start())) == Answer("no access")


# --- what is asked for ----------------------------------------------------------------------------------


def test_newest_run_folder_is_the_default(status: Ask, tmp_path: Path) -> None:
    for name, method in (("a_new", "fedphd"), ("z_old", "fedavg")):
        Run(tmp_path / "cwd/runs" / name, f"method={method}")
    (tmp_path / "cwd/runs/sweep").mkdir()
    old = tmp_path / "cwd/runs/z_old"
    for file in old.iterdir():
        set_time(file, T0 - 1e6)
    assert status()["run"]["folder"] == str(tmp_path / "cwd/runs/a_new")
    set_time(old / "config.yaml", T0 + 1e8)
    assert status()["run"]["method"] == "fedavg"


def test_run_folder_from_the_environment(run: Run, status: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDPHD_RUN_DIR", str(run.folder))
    assert status()["run"]["folder"] == str(run.folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no run folder in ./runs; name one, or --superlink HOST:PORT"),
        (["nowhere"], "RUN_DIR=nowhere: is not a run folder"),
        (["--superlink", "host", "--insecure"], "--superlink=host: use HOST:PORT"),
        (["--superlink", "https://host:1", "--insecure"], "--superlink=https://host:1: use HOST:PORT"),
        (["--superlink", "host:1"], "--root-certificates=null: needs the file ca.pem"),
        (["--superlink", "host:1", "--root-certificates", "gone.pem"], "--root-certificates=gone.pem: needs the file"),
        (["--superlink", "host:1", "--insecure", "--nodes", "gone.json"], "--nodes=gone.json: needs the file"),
        (["--superlink", "host:1", "--insecure", "--nodes", "list.json"], "--nodes=list.json: needs the file"),
    ],
)
def test_bad_settings_are_named(arguments: list[str], message: str) -> None:
    Path("list.json").write_text('["client-0"]')
    with pytest.raises(FedPhDError, match="^" + re.escape(message)):
        COMMANDS["status"](arguments)


def test_deployment_facts_that_cannot_be_read(run: Run) -> None:
    (run.folder / "deployment.json").write_text('{"superlinks": ')
    with pytest.raises(SettingError, match=r"deployment\.json cannot be read"):
        COMMANDS["status"]([str(run.folder)])


def test_names_that_are_not_ours_cannot_steer_the_terminal(tmp_path: Path) -> None:
    folder = Standing(tmp_path)
    folder.take(Entry("root", "root", Fail(time=T0, reason="[red]no\x1b[31m")))
    link = SuperLink("root", "h:1", names={"[bold]edge\x1b[2J": "1"})
    run = FlowerRun("1", "app", "finished:failed", T0, T0, 0, 0)
    stream = io.StringIO()
    show(picture(folder, [link], [Answer(runs=[run])], T0 + 5), Console(file=stream, width=200, highlight=False))
    assert "\x1b" not in stream.getvalue()
    assert "failed: [red]no [31m" in stream.getvalue()
    assert "[bold]edge [2J" in stream.getvalue()


def set_time(file: Path, seconds: float) -> None:
    os.utime(file, (seconds, seconds))

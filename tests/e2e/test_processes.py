"""A whole deployment in processes on loopback, over TLS: the same model as in one process, also when things die.

Each run takes a minute or two; a killed node is refused for up to a minute before it may come back.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest

from common.config import Config, compose
from common.deploy.commands import supernode
from common.deploy.keys import make_keys
from common.flower.control import Control
from common.launch.processes import Tree
from common.launch.superlink import free_ports
from common.launch.supervisor import Program, Supervisor
from common.ledger import Entry, read_lines
from server.inprocess import in_process_grid
from server.simulation import simulate

pytestmark = pytest.mark.processes

HOSTILE = Path(__file__).parent / "hostile"
PATIENCE = 400.0  # seconds for what a test waits for

SMALL = [
    "partition=iid",
    "evaluation=grid",
    "evaluation.every=9",
    "evaluation.grid_images=4",
    "diffusion.sampler_steps=2",
    "training.batch_size=64",
    "topology.edge_rounds=1",
    "topology.participation=1",
    "topology.round_timeout=200",
]
# Two edges with one client each: little to start, and nobody's loss goes unnoticed.
PAIR = [*SMALL, "topology.clients=2", "topology.edges=2", "topology.homes=[[0],[1]]"]


class Deployment:
    """A tree of processes that trains in a thread, while the test does harm to it."""

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.supervisor = Supervisor(run_dir / "deployment", run_dir / "logs")
        self.tree = Tree(config, run_dir, self.supervisor)
        self._thread = threading.Thread(target=self._train)
        self._outcome: str | Exception | None = None

    def __enter__(self) -> Self:
        self.supervisor.__enter__()
        self.tree.start_superlinks()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.supervisor.__exit__(None, None, None)
        if self._thread.ident is not None:
            self._thread.join(30)

    def train(self) -> None:
        self._thread.start()

    def finish(self) -> str:
        """Wait for the end; give Flower's id of the run."""
        self._thread.join(PATIENCE)
        assert isinstance(self._outcome, str), f"the run did not end well: {self._outcome!r}"
        return self._outcome

    def _train(self) -> None:
        try:
            self._outcome = self.tree.train()
        except Exception as error:
            self._outcome = error

    def until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert self._thread.is_alive(), f"the run ended meanwhile: {self._outcome!r}"
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.05)

    def events(self, name: str, node: str = "root") -> list[Entry]:
        """Read a node's own ledger, in which its events stand at once."""
        ledgers = [self.run_dir / "ledger.jsonl"]
        if node != "root":
            ledgers = sorted((self.run_dir / "edges" / node).glob("*/ledger.jsonl"))
        return [entry for ledger in ledgers for entry in read_lines(ledger) if entry["event"] == name]

    def until_training(self, edge: str, root_round: int) -> None:
        """Wait until an edge has sent its clients to work in a root round."""
        self.until(lambda: any(event["round"] == root_round for event in self.events("send", edge)))

    def kill(self, name: str) -> None:
        os.kill(self.supervisor.pid(name), signal.SIGKILL)

    def kill_serverapp(self, tier: str) -> None:
        children = psutil.Process(self.supervisor.pid(f"{tier}-superexec")).children(recursive=True)
        (serverapp,) = [child for child in children if any("flwr-serverapp" in part for part in child.cmdline())]
        serverapp.kill()

    def log(self, name: str) -> str:
        return (self.run_dir / "logs" / f"{name}.log").read_text()

    @property
    def model(self) -> str:
        return str(self.events("finish")[-1]["model"])


@contextmanager
def deployment(run_dir: Path, *overrides: str) -> Iterator[Deployment]:
    config = compose(["runtime=processes", *overrides])
    with Deployment(config, run_dir) as one:
        yield one


def in_process(run_dir: Path, *overrides: str) -> str:
    config = compose(["runtime=inprocess", *overrides])
    return simulate(in_process_grid(config, run_dir), config, run_dir).model.hash


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The final model of three rounds without a deployment."""
    return in_process(tmp_path_factory.mktemp("undisturbed"), *PAIR, "rounds=3")


def test_a_late_edge_is_waited_for_and_bytes_are_those_that_flower_counts(tmp_path: Path) -> None:
    same = [*SMALL, "topology.clients=2", "topology.edges=2", "rounds=2"]  # each client has both edges as homes
    expected = in_process(tmp_path / "alone", *same)
    with deployment(tmp_path / "run", *same) as tree:
        tree.tree.start_gateway("edge-0")
        for client in ("client-0", "client-1"):
            for edge in ("edge-0", "edge-1"):
                tree.tree.start_client(client, edge)
        tree.train()
        tree.until(lambda: tree.events("register", "edge-0"))
        time.sleep(10)
        assert not tree.events("start"), "the root did not wait for edge-1"
        tree.tree.start_gateway("edge-1")
        root_run = tree.finish()
        assert tree.model == expected
        root = Control(tree.tree.home("root")).run(root_run)
        edges = [completed_run(Control(tree.tree.home(edge))) for edge in ("edge-0", "edge-1")]
        assert root["status"] == "finished:completed"
        assert_same_bytes(tree.events("send") + tree.events("accept"), "backbone", [root])
        assert_same_bytes(tree.events("send") + tree.events("accept"), "access", edges)
    assert (tmp_path / "run" / "metrics.jsonl").exists()


def completed_run(control: Control) -> dict[str, Any]:
    """Give an edge's one run, which ends a moment after the root's."""
    deadline = time.monotonic() + PATIENCE
    while True:
        (run,) = control.runs()
        if run["status"] == "finished:completed":
            return run
        assert time.monotonic() < deadline, f"the edge's run is {run['status']}"
        time.sleep(0.5)


def assert_same_bytes(events: list[Entry], hop: str, runs: list[dict[str, dict[str, int]]]) -> None:
    """Compare both directions of a hop with what the Fleet API counted, to 2 %."""
    for kind, direction in (("send", "outbound-bytes"), ("accept", "inbound-bytes")):
        counted = sum(event["encoded_bytes"] for event in events if (event["event"], event["hop"]) == (kind, hop))
        assert counted == pytest.approx(sum(run["network-traffic"][direction] for run in runs), rel=0.02), (hop, kind)


def test_killed_serverapps_and_a_killed_root_superlink(undisturbed: str, tmp_path: Path) -> None:
    with deployment(tmp_path, *PAIR, "rounds=3") as tree:
        tree.tree.start_nodes()
        tree.train()
        tree.until_training("edge-0", 1)
        tree.kill_serverapp("edge-0")
        tree.until_training("edge-0", 2)
        tree.kill("root-superlink")
        tree.until_training("edge-1", 3)
        tree.kill_serverapp("root")
        tree.finish()
        assert tree.model == undisturbed
        assert tree.log("edge-0-gateway").count("no ServerApp is alive; submitting one") >= 2
        assert "root-superlink ended with exit code -9; starting it again" in tree.log("root-superlink")
        assert [event["round"] for event in tree.events("resume")] == [2]


def test_killed_edge_superlink_gateway_and_client(undisturbed: str, tmp_path: Path) -> None:
    with deployment(tmp_path, *PAIR, "rounds=3") as tree:
        tree.tree.start_nodes()
        tree.train()
        tree.until_training("edge-1", 1)
        tree.kill("edge-1-superlink")
        tree.until_training("edge-0", 2)
        tree.until_training("edge-1", 2)
        tree.kill("edge-0-gateway")
        tree.kill("client-1-edge-1")
        tree.finish()
        assert tree.model == undisturbed
        assert "edge-1-superlink ended with exit code -9; starting it again" in tree.log("edge-1-superlink")
        resent = {(event["node"], event["peer"]) for event in tree.events("resend")}  # the edges' events came along
        assert resent == {("root", "edge-0"), ("edge-1", "client-1")}


def test_hostile_clients_and_one_without_a_valid_key(tmp_path: Path) -> None:
    size = [*SMALL, "topology.clients=3", "topology.edges=1", "rounds=5", "topology.quorum=0.6"]
    ways = ["garbage", "not_finite", "other_structure", "too_large", "silent"]
    with deployment(tmp_path, *size, "topology.round_timeout=60") as tree:
        tree.tree.start_gateway("edge-0")
        for client in ("client-0", "client-1"):
            tree.tree.start_client(client, "edge-0")
        environment = {"PYTHONPATH": str(HOSTILE), "HOSTILE_WAYS": ",".join(ways)}
        tree.tree.start_client("client-2", "edge-0", environment)
        start_stranger(tree, tmp_path / "stranger")
        tree.train()
        tree.finish()
        refused = {event["edge_round"]: event["reason"] for event in tree.events("refuse")}
        lost = {event["edge_round"]: event["reason"] for event in tree.events("lost")}
        trained = [event["clients"] for event in tree.events("aggregate")]
        assert trained == [["client-0", "client-1"]] * 5  # the quorum of 60 % of three
        assert "unknown records" in refused[0]
        assert refused[1] == "float32 data has numbers that are not finite"
        assert "structure" in refused[2]
        assert "float32 data has" in refused[3] and "instead of" in refused[3]
        assert "no answer within" in lost[4]
        assert "SuperNode" in tree.log("stranger") and "starting it again" in tree.log("stranger")
        (registered,) = tree.events("register")
        assert registered["clients"] == ["client-0", "client-1", "client-2"]


def start_stranger(tree: Deployment, keys: Path) -> None:
    """Start a node that trusts the right authority, but whose key nobody has registered."""
    make_keys(keys, tree.tree.config.topology)
    own, right = keys / "client-0", tree.tree.keys("client-0")
    assert right is not None
    (own / "ca.pem").write_bytes((right / "ca.pem").read_bytes())
    facts: Mapping[str, str | int] = {"partition-id": 0, "state-dir": str(keys / "state")}
    command = supernode(tree.tree.addresses["edge-0"], free_ports(1)[0], facts, own)
    tree.supervisor.start(Program("stranger", command))

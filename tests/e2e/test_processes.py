"""A whole deployment in processes: the same model as in one process, Flower's bytes, and who is not to be trusted.

Each run takes a minute or two.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from small_deployment import PATIENCE, SMALL, Deployment, deployment, in_process

from fedphd.common.flower.control import Control
from fedphd.common.run.json_lines import JsonObject
from fedphd.launch.deploy.commands import supernode
from fedphd.launch.deploy.keys import make_keys
from fedphd.launch.runtimes.superlink import free_ports
from fedphd.launch.runtimes.supervisor import Program

pytestmark = pytest.mark.processes

HOSTILE = Path(__file__).parent / "hostile"


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


def assert_same_bytes(events: list[JsonObject], hop: str, runs: list[dict[str, dict[str, int]]]) -> None:
    """Compare both directions of a hop with what the Fleet API counted, to 2 %."""
    for kind, direction in (("send", "outbound-bytes"), ("accept", "inbound-bytes")):
        counted = sum(event["encoded_bytes"] for event in events if (event["event"], event["hop"]) == (kind, hop))
        assert counted == pytest.approx(sum(run["network-traffic"][direction] for run in runs), rel=0.02), (hop, kind)


def test_hostile_clients_and_one_without_a_valid_key(tmp_path: Path) -> None:
    size = [*SMALL, "topology.clients=3", "topology.edges=1", "rounds=5", "topology.quorum=0.6"]
    ways = ["garbage", "not_finite", "other_structure", "too_large", "silent"]
    with deployment(tmp_path, *size, "topology.round_timeout=300") as tree:
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

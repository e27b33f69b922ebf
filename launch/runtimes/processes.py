"""The `processes` runtime: a whole deployment on this machine's loopback, started and ended by one command.

Root and edges each get a SuperLink and a SuperExec, each edge a gateway, each client a SuperNode for
every home: the same processes, keys and hand-overs as on a cluster, and as good a place to try faults.
"""

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.config.runtime import Processes
from fedphd.common.config.topology import edge_ids, homes
from fedphd.common.flower.control import Control
from fedphd.common.flower.home import FlowerHome
from fedphd.common.run.run_folder import CLIENTS, DEPLOYMENT, DEPLOYMENT_FACTS, EDGES, LOGS, PROCESSES_LOCK
from fedphd.common.run.sole_writer import sole_writer
from fedphd.launch.deploy.commands import superexec, superlink, supernode
from fedphd.launch.deploy.keys import CA, ROOT, make_keys, nodes_of
from fedphd.launch.deploy.register import register_nodes
from fedphd.launch.runtimes.deployment import submit_and_follow
from fedphd.launch.runtimes.superlink import await_health, free_ports
from fedphd.launch.runtimes.supervisor import Program, Supervisor

HOST = "127.0.0.1"


def run(config: Config, run_dir: Path) -> None:
    """Train with every tier in processes of its own; return when the run has finished.

    Raises
    ------
    FedPhDError
        If Flower or the run fails; the details are in ``logs/`` in the run folder.
    """
    with sole_writer(run_dir, PROCESSES_LOCK):  # the root takes the folder's own lock, and may be lost for a while
        _run(config, run_dir)


def _run(config: Config, run_dir: Path) -> None:
    folder = run_dir / DEPLOYMENT
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with Supervisor(folder, run_dir / LOGS) as supervisor:
            tree = Tree(config, run_dir, supervisor)
            tree.start_superlinks()
            tree.start_nodes()
            tree.train()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        (run_dir / DEPLOYMENT_FACTS).unlink(missing_ok=True)


class Tree:
    """The processes of a deployment on loopback.

    Parameters
    ----------
    config : Config
        The run's configuration.
    run_dir : Path
        The run folder.
    supervisor : Supervisor
        Keeps the processes running.
    """

    def __init__(self, config: Config, run_dir: Path, supervisor: Supervisor) -> None:
        self.config = config
        self.run_dir = run_dir
        self.folder = run_dir / DEPLOYMENT
        self.supervisor = supervisor
        self.nodes = nodes_of(config.topology)
        self.addresses = {
            tier: f"{HOST}:{port}" for tier, port in zip(self.nodes, free_ports(len(self.nodes)), strict=True)
        }
        self.runtime = Processes.narrow(config.runtime, "runtime")
        self.secure = self.runtime.secure
        if self.secure:
            make_keys(self.folder / "keys", config.topology)

    def keys(self, holder: str) -> Path | None:
        """Name the folder of a holder's keys; None without security."""
        return self.folder / "keys" / holder if self.secure else None

    def home(self, tier: str) -> FlowerHome:
        """Make a Flower home that connects to a tier's SuperLink."""
        home = FlowerHome(self.folder / "homes" / f"{tier}-control")
        home.connect_to(self.addresses[tier], self._certificates(tier))
        return home

    def start_superlinks(self) -> None:
        """Start every tier's SuperLink and SuperExec, wait until they answer, and tell them their nodes' keys."""
        for tier in self.nodes:
            (self.folder / tier).mkdir(parents=True, exist_ok=True)
            port = int(self.addresses[tier].rpartition(":")[2])
            command = superlink(HOST, port, self.folder / tier / "state.db", self.keys(tier))
            self.supervisor.start(Program(f"{tier}-superlink", command))
        for tier in self.nodes:
            await_health(self.addresses[tier], self._certificates(tier), self.supervisor.watch)
            self.supervisor.start(Program(f"{tier}-superexec", superexec(self.addresses[tier], self.keys(tier))))
        with ThreadPoolExecutor() as pool:
            names = dict(zip(self.nodes, pool.map(self._register, self.nodes), strict=True))
        facts = {"superlinks": self.addresses, "certificates": str(self._certificates(ROOT) or ""), "nodes": names}
        (self.run_dir / DEPLOYMENT_FACTS).write_text(json.dumps(facts), encoding="utf-8")

    def start_nodes(self) -> None:
        """Start the gateways and all clients."""
        for edge in edge_ids(self.config.topology) if self.config.topology.edges else ():
            self.start_gateway(edge)
        for client, own in homes(self.config.topology).items():
            for home in own:
                self.start_client(client, home if self.config.topology.edges else ROOT)

    def start_gateway(self, edge: str) -> None:
        """Start an edge's node of the root."""
        certificates = self._certificates(edge)
        facts: dict[str, str | int] = {
            "edge-id": edge,
            "spool": str(self.run_dir / EDGES / edge),
            "superlink": self.addresses[edge],
            "root-certificates": str(certificates or ""),
        }
        self._start_node(f"{edge}-gateway", ROOT, facts, self.keys(edge))

    def start_client(self, client: str, home: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a client's node of one of its homes."""
        index = int(client.rpartition("-")[2])
        facts: dict[str, str | int] = {
            "partition-id": index,
            "state-dir": str(self.run_dir / CLIENTS / client),
            "turns-dir": str(self.folder / "turns"),
            "turns": self.runtime.parallel_clients,
        }
        self._start_node(f"{client}-{home}", home, facts, self.keys(client), environment)

    def train(self) -> str:
        """Submit the run to the root and follow it to its end; return Flower's run id."""
        return submit_and_follow(self.home(ROOT), self.config, self.run_dir, self.supervisor.watch)

    def _start_node(
        self,
        name: str,
        tier: str,
        facts: Mapping[str, str | int],
        keys: Path | None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = supernode(self.addresses[tier], free_ports(1)[0], facts, keys)
        self.supervisor.start(Program(name, command, environment=environment or {}))

    def _register(self, tier: str) -> dict[str, str]:
        keys = self.keys(tier)
        if keys is None:
            return {}
        return register_nodes(Control(self.home(tier)), keys, self.folder / tier / "nodes.json")

    def _certificates(self, tier: str) -> Path | None:
        keys = self.keys(tier)
        return None if keys is None else keys / CA

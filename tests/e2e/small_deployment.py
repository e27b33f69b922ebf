"""A small deployment in processes on loopback, over TLS, which a test can do harm to."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from fedphd.common.config import Config, compose
from fedphd.common.run.json_lines import JsonObject, read_lines
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.launch.runtimes.processes import Tree
from fedphd.launch.runtimes.supervisor import Supervisor
from fedphd.server.simulation import simulate

PATIENCE = 1500.0  # seconds for what a test waits for

SMALL = [
    "partition=iid",
    "evaluation=grid",
    "evaluation.every=9",
    "evaluation.grid_images=4",
    "sampler.steps=2",
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

    def events(self, name: str, node: str = "root") -> list[JsonObject]:
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

"""Bytes of a message with the CIFAR-10 U-Net, by our ledger and as Flower reports them, for three codecs.

A deployment in processes on loopback, over TLS, with one client and no edge tier, trains the 35.7 M parameters on three
made-up images: what is trained does not change what a message takes. Flower reports bytes per run and direction (`flwr
ls`), so each codec has a run of one round and one of two. The first is the registration (less than 1 kB) and the first
contact, which a codec of changes sends down in float32. The difference of the two is one later message in each
direction, and nothing else.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedphd.common.config import Config, compose
from fedphd.common.flower.control import Control
from fedphd.common.run.json_lines import read_lines
from fedphd.common.run.run_folder import DEPLOYMENT, LOGS
from fedphd.launch.deploy.keys import ROOT
from fedphd.launch.runtimes.deployment import submit_and_follow
from fedphd.launch.runtimes.processes import Tree
from fedphd.launch.runtimes.supervisor import Supervisor

OVERRIDES = [
    "method=fedavg",
    "runtime=processes",
    "model=ddpm_cifar10",
    "data=npz",
    "partition=iid",
    "topology=flat",
    "topology.clients=1",
    "topology.participation=1",
    "training.batch_size=2",
    "training.keep_optimizer=false",
    "ema_decay=null",
    "evaluation=grid",
    "evaluation.every=9",
    "evaluation.grid_images=1",
    "sampler.steps=1",
]
CODECS = {
    "float32": ["codec=float32"],
    "int8": ["codec=int8"],
    "int4": ["codec=int4", "codec.access.down={kind: int4, of: change, error_feedback: false, zstd: null}"],
}
WAYS = {"down": ("send", "outbound-bytes"), "up": ("accept", "inbound-bytes")}


@dataclass(frozen=True)
class Bytes:
    """Bytes of one direction: by the ledger for each message, and as Flower reports them for the whole run."""

    ledger: list[int]
    flower: int


def made_up_images(path: Path) -> Path:
    """Write three images to train on and one to hold out."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    classes = np.array([0, 1, 0, 1])
    np.savez(path, train_x=pixels[:3], train_y=classes[:3], test_x=pixels[3:], test_y=classes[3:])
    return path


@contextmanager
def deployment(config: Config, run_dir: Path) -> Iterator[Tree]:
    """Start a root and its client, on which several runs can be trained one after the other."""
    with Supervisor(run_dir / DEPLOYMENT, run_dir / LOGS) as supervisor:
        tree = Tree(config, run_dir, supervisor)
        tree.start_superlinks()
        tree.start_nodes()
        yield tree


def train(tree: Tree, config: Config, run_dir: Path) -> dict[str, Bytes]:
    """Train, and give the bytes of each direction."""
    run_id = submit_and_follow(tree.home(ROOT), config, run_dir, tree.supervisor.watch)
    reported = Control(tree.home(ROOT)).run(run_id)["network-traffic"]
    entries = [one for one in read_lines(run_dir / "ledger.jsonl") if one.get("hop") == "access"]
    return {
        way: Bytes([one["encoded_bytes"] for one in entries if one["event"] == event], reported[total])
        for way, (event, total) in WAYS.items()
    }


def measure(folder: Path) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield codec, direction, message, and its bytes by the ledger and by Flower."""
    data = f"data.path={made_up_images(folder / 'images.npz')}"
    with deployment(compose([*OVERRIDES, data]), folder) as tree:
        for codec, choice in CODECS.items():
            one, two = (
                train(tree, compose([*OVERRIDES, data, *choice, f"rounds={rounds}"]), folder / f"{codec}-{rounds}")
                for rounds in (1, 2)
            )
            for way in WAYS:
                yield codec, way, "first", one[way].ledger[0], one[way].flower
                yield codec, way, "later", two[way].ledger[1], two[way].flower - one[way].flower


def main() -> None:
    """Measure and print a table: six runs, a minute or two each."""
    logging.getLogger("common").setLevel(logging.ERROR)
    plain: dict[str, tuple[int, int]] = {}
    print("\nbytes of a message with the 35,746,307 parameters of the CIFAR-10 U-Net, and their share of float32's")
    print("codec    way   message      ledger       Flower   share by ledger  by Flower")
    with tempfile.TemporaryDirectory() as folder:
        for codec, way, message, ledger, flower in measure(Path(folder)):
            by_ledger, by_flower = plain.setdefault(f"{way} {message}", (ledger, flower))  # float32 is the first codec
            shares = f"{ledger / by_ledger:15.2%}  {flower / by_flower:9.2%}"
            print(f"{codec:7}  {way:4}  {message:7}  {ledger:10,}  {flower:11,}  {shares}", flush=True)


if __name__ == "__main__":
    main()

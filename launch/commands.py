"""The commands beside training, as ``fedphd keys``; `COMMANDS` has them all."""

import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

from fedphd.common.config import compose
from fedphd.common.errors import SettingError
from fedphd.common.flower.control import Control
from fedphd.common.flower.home import FlowerHome
from fedphd.launch.compare import main as compare_runs
from fedphd.launch.cost import main as show_cost
from fedphd.launch.deploy import compose as compose_files
from fedphd.launch.deploy.keys import CA, make_keys, nodes_of
from fedphd.launch.deploy.kubernetes import manifests
from fedphd.launch.deploy.register import register_nodes
from fedphd.launch.watch.status import main as show_status

OVERRIDES = "Hydra overrides, as for training, e.g. topology.edges=3"


def keys(arguments: list[str]) -> None:
    """Make a deployment's keys: ``fedphd keys FOLDER [--host TIER=NAME] [overrides]``.

    Raises
    ------
    SettingError
        If an override or a host cannot be used, or existing keys cannot be read.
    """
    parser = ArgumentParser("fedphd keys", description="Make the keys of a deployment; what exists stays.")
    parser.add_argument("folder", type=Path, help="takes one folder for each holder")
    parser.add_argument("--host", action="append", default=[], metavar="TIER=NAME", help="a server's host name or IP")
    parser.add_argument("overrides", nargs="*", help=OVERRIDES)
    given = parser.parse_intermixed_args(arguments)
    topology = compose(given.overrides).topology
    hosts: dict[str, list[str]] = {}
    for entry in given.host:
        tier, _, name = entry.partition("=")
        if not name or tier not in nodes_of(topology):
            raise SettingError("--host", entry, f"use TIER=NAME with a tier of {', '.join(nodes_of(topology))}")
        hosts.setdefault(tier, []).append(name)
    make_keys(given.folder.absolute(), topology, hosts)
    print(f"keys in {given.folder}")


def register(arguments: list[str]) -> None:
    """Register the node keys of a tier at its SuperLink.

    Raises
    ------
    SettingError
        If there are no keys.
    ControlError
        If the SuperLink cannot be reached.
    """
    parser = ArgumentParser("fedphd register", description="Tell a SuperLink the keys of its nodes; safe to repeat.")
    parser.add_argument("keys", type=Path, help="the tier's folder of keys")
    parser.add_argument("--superlink", default=os.environ.get("FEDPHD_SUPERLINK", "127.0.0.1:8000"))
    parser.add_argument("--nodes", type=Path, help="takes the nodes' names and ids, for `fedphd status`", required=True)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fedphd-") as folder:
        home = FlowerHome(Path(folder))
        home.connect_to(given.superlink, given.keys.absolute() / CA)
        nodes = register_nodes(Control(home), given.keys, given.nodes)
    print(f"{given.superlink} knows {', '.join(sorted(nodes))}")


def compose_file(arguments: list[str]) -> None:
    """Print the Docker Compose file of a topology.

    Raises
    ------
    SettingError
        If an override cannot be used.
    """
    gpu = "print the override file for clients with GPUs instead"
    _print_rendered(arguments, compose_files.render, "compose", "Docker Compose file", gpu)


def kubernetes(arguments: list[str]) -> None:
    """Print the Kubernetes manifests of a topology.

    Raises
    ------
    SettingError
        If an override cannot be used.
    """
    _print_rendered(arguments, manifests.render, "kubernetes", "Kubernetes manifests", gpu="give each client a GPU")


def _print_rendered(arguments: list[str], render: Callable[..., str], tool: str, what: str, gpu: str) -> None:
    """Print what is rendered of a topology; `gpu` explains the option."""
    parser = ArgumentParser(f"fedphd {tool}", description=f"Print the {what} of a topology.")
    parser.add_argument("--gpu", action="store_true", help=gpu)
    parser.add_argument("overrides", nargs="*", help=OVERRIDES)
    given = parser.parse_intermixed_args(arguments)
    print(render(compose(given.overrides), gpu=given.gpu), end="")


def status(arguments: list[str]) -> None:
    """Show where a running deployment stands."""
    show_status(arguments)


def cost(arguments: list[str]) -> None:
    """Say what a configuration will communicate."""
    show_cost(arguments)


def compare(arguments: list[str]) -> None:
    """Put runs side by side."""
    compare_runs(arguments)


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "keys": keys,
    "register": register,
    "compose": compose_file,
    "kubernetes": kubernetes,
    "status": status,
    "cost": cost,
    "compare": compare,
}

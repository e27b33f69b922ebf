"""``fedphd keys``: the keys of a deployment."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path

from fedphd.common.errors import SettingError
from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="takes one folder for each holder")
    parser.add_argument("--host", action="append", default=[], metavar="TIER=NAME", help="a server's host name or IP")


def _run(given: Namespace) -> None:
    from fedphd.launch.composing import compose
    from fedphd.launch.deploy.keys import make_keys, nodes_of

    topology = compose(given.overrides).topology
    make_keys(given.folder.absolute(), topology, _hosts(given.host, nodes_of(topology)))
    print(f"keys in {given.folder}")


def _hosts(entries: Iterable[str], tiers: Mapping[str, object]) -> dict[str, list[str]]:
    """Sort host names by the tier whose server has them."""
    hosts: dict[str, list[str]] = {}
    for entry in entries:
        tier, _, name = entry.partition("=")
        if not name or tier not in tiers:
            raise SettingError("--host", entry, f"use TIER=NAME with a tier of {', '.join(tiers)}")
        hosts.setdefault(tier, []).append(name)
    return hosts


COMMAND = Command("keys", "Make the keys of a deployment; what exists stays.", _run, _add_arguments, True, True)

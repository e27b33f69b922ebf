"""``fedphd register``: the keys of a SuperLink's nodes."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("keys", type=Path, help="the tier's folder of keys")
    parser.add_argument("--superlink", default=os.environ.get("FEDPHD_SUPERLINK", "127.0.0.1:8000"))
    parser.add_argument("--nodes", type=Path, help="takes the nodes' names and ids, for `fedphd status`", required=True)


def _run(given: Namespace) -> None:
    import tempfile

    from fedphd.common.flower.control import Control
    from fedphd.common.flower.home import FlowerHome
    from fedphd.launch.deploy.keys import CA
    from fedphd.launch.deploy.register import register_nodes

    with tempfile.TemporaryDirectory(prefix="fedphd-") as folder:
        home = FlowerHome(Path(folder))
        home.connect_to(given.superlink, given.keys.absolute() / CA)
        nodes = register_nodes(Control(home), given.keys, given.nodes)
    print(f"{given.superlink} knows {', '.join(sorted(nodes))}")


COMMAND = Command("register", "Tell a SuperLink the keys of its nodes; safe to repeat.", _run, _add_arguments)

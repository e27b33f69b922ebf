"""``fedphd status``: where a deployment stands."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    known = {name: os.environ.get(f"FEDPHD_{name}") or None for name in ("RUN_DIR", "SUPERLINK", "NODES", "TIER")}
    certificates = os.environ.get("FEDPHD_ROOT_CERTIFICATES") or None
    add = parser.add_argument
    add("run_dir", nargs="?", metavar="RUN_DIR", default=known["RUN_DIR"], help="by default the newest in ./runs")
    add("--superlink", metavar="HOST:PORT", default=known["SUPERLINK"], help="by default those that the run names")
    add("--root-certificates", type=Path, metavar="FILE", default=certificates, help="ca.pem of the deployment's keys")
    add("--nodes", type=Path, metavar="FILE", default=known["NODES"], help="names of the nodes, by `fedphd register`")
    add("--tier", metavar="NAME", default=known["TIER"], help="whose SuperLink it is: root, edge-0 ...")
    add("--insecure", action="store_true", help="the SuperLink is without TLS")
    add("--json", action="store_true", help="print JSON")


def _run(given: Namespace) -> None:
    from fedphd.launch.watch.status import print_status

    print_status(given)


COMMAND = Command("status", "Show where a run or a deployment stands.", _run, _add_arguments)

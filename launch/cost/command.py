"""``fedphd cost``: which configuration, and how to print it."""

import json
import sys
from argparse import ArgumentParser

from rich.console import Console

from fedphd.common.config import compose
from fedphd.launch.cost.estimate import estimate
from fedphd.launch.cost.plain import plain
from fedphd.launch.cost.terminal import show

PIPE_WIDTH = 160  # columns, where there is no terminal


def main(arguments: list[str]) -> None:
    """Print what a configuration will communicate, as tables or as JSON; nothing is trained.

    Parameters
    ----------
    arguments : list[str]
        The command line after ``fedphd cost``.

    Raises
    ------
    SettingError
        If the run could not start with these settings.
    RegistrationError
        If the clients' images do not have the same classes.
    """
    parser = ArgumentParser("fedphd cost", description="Say what a configuration will communicate.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, as for training, e.g. method=feddiffuse_udec")
    given = parser.parse_intermixed_args(arguments)
    found = estimate(compose(given.overrides))
    if given.json:
        print(json.dumps(plain(found), indent=2))
    else:
        show(found, Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH))

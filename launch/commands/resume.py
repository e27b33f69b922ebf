"""``fedphd resume``: go on with a run."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder, whose settings it takes")


def _run(given: Namespace) -> None:
    from fedphd.launch.going_on import resumed
    from fedphd.launch.train import train_to_the_end

    run = given.run.expanduser().absolute()
    train_to_the_end(resumed(run, given.overrides), run)


COMMAND = Command("resume", "Go on with a run from its newest checkpoint.", _run, _add_arguments, True, True)

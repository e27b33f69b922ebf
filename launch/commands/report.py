"""``fedphd report``: the page of a run, made anew."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder; the run may be going on, or have failed")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the page; by default report.html in the run folder"
    )


def _run(given: Namespace) -> None:
    from fedphd.common.errors import SettingError
    from fedphd.common.run.run_folder import RunFolder
    from fedphd.launch.report import write_report

    run = given.run.expanduser().absolute()
    if not RunFolder(run).begun:
        raise SettingError("RUN", given.run, "is not a run folder; name one, as in fedphd report runs/FOLDER")
    print(f"report     {write_report(run, given.output)}")


COMMAND = Command("report", "Write the report of a run, also while it goes on.", _run, _add_arguments)

"""``fedphd compare``: runs side by side."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("folders", nargs="*", type=Path, metavar="RUN_FOLDER", help="run folders and sweep folders, mixed")
    where = "the page; its plot goes beside it as .svg; by default comparison.md in the folder that is given, or here"
    add("--output", type=Path, metavar="FILE.md", help=where)
    add("--title", default="Comparison", metavar="TEXT", help="the page's heading; empty: none")
    add("--json", action="store_true", help="print JSON; writes a page only with --output")


def _run(given: Namespace) -> None:
    from fedphd.launch.compare import print_comparison

    print_comparison(given)


COMMAND = Command("compare", "Put runs side by side: means and spreads over their seeds.", _run, _add_arguments)

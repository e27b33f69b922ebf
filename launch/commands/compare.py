"""``fedphd compare``: runs side by side."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from fedphd.launch.commands.command import Command


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    what = "run folders, sweep folders and files of saved runs, mixed"
    add("folders", nargs="*", type=Path, metavar="RUN_FOLDER", help=what)
    where = "the page; its plot goes beside it as .svg; by default comparison.md in the folder that is given, or here"
    add("--output", type=Path, metavar="FILE.md", help=where)
    add("--title", default="Comparison", metavar="TEXT", help="the page's heading; empty: none")
    reference = "a row that the others are set in relation to; may be repeated; by default flat FedAvg, else FedAvg"
    add("--reference", action="append", default=[], metavar="NAME", help=reference)
    equal = "equal: what all have reached"
    epochs = f"compare also at so many client epochs, as papers do ({equal})"
    add("--at-epochs", metavar="N", help=epochs)
    add("--at-images", metavar="N", help=f"... at so many image passes ({equal})")
    quality = "compare also what each had sent and computed when it first was as good as Q"
    add("--at-quality", metavar="Q", help=quality)
    saved = "also save what is compared of the runs, a few kB each; fedphd compare reads it like their folders"
    add("--save", type=Path, metavar="FILE.json", help=saved)
    add("--json", action="store_true", help="print JSON; writes a page only with --output")


def _run(given: Namespace) -> None:
    from fedphd.launch.compare import print_comparison

    print_comparison(given)


COMMAND = Command("compare", "Put runs side by side: means and spreads over their seeds.", _run, _add_arguments)

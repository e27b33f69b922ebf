"""What the commands that print tables have in common."""

import sys

from rich.console import Console
from rich.table import Table

from fedphd.launch.watch.notices import SUMMARY


def open_console(pipe_width: int) -> Console:
    """Open the terminal; where there is none, lines have `pipe_width` columns."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else pipe_width)


def bare_table() -> Table:
    """Make a table without columns yet, whose cells have two spaces between them and no lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=SUMMARY)

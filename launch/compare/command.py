"""What ``fedphd compare`` prints, and where its page goes."""

import json
import sys
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from fedphd.launch.compare.comparison import compare
from fedphd.launch.compare.page import write_page
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.terminal import show

PAGE = "comparison.md"
PIPE_WIDTH = 200  # columns, where there is no terminal


def print_comparison(given: Namespace) -> None:
    """Compare runs: print a table, or JSON, and write a page with a plot.

    Parameters
    ----------
    given : Namespace
        The arguments of launch/commands/compare.py.

    Raises
    ------
    SettingError
        If there is nothing to compare, the runs do not compare, or the page cannot be written there.
    """
    comparison = compare(given.folders)
    page = _page(given)
    if page is not None:
        write_page(comparison, page, given.title)
    if given.json:
        print(json.dumps(plain(comparison), indent=2, allow_nan=False))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    show(comparison, console)
    console.print(f"page      {page}", markup=False, soft_wrap=True)


def _page(given: Namespace) -> Path | None:
    """Say where the page goes; several folders have no common place but the working folder."""
    if given.output is not None or given.json:
        return given.output  # type: ignore[no-any-return]
    return (given.folders[0] if len(given.folders) == 1 else Path()) / PAGE

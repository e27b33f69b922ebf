"""What ``fedphd compare`` prints, and where its page goes."""

import json
from argparse import Namespace
from pathlib import Path

from fedphd.launch.compare.budget import Budget, Spent
from fedphd.launch.compare.comparison import compare
from fedphd.launch.compare.cut import Moment, cut
from fedphd.launch.compare.goal import Goal
from fedphd.launch.compare.page import write_page
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.saved import save_runs
from fedphd.launch.compare.terminal import show
from fedphd.launch.terminal import open_console

PAGE = "comparison.md"
PIPE_WIDTH = 200  # columns, where there is no terminal


def print_comparison(given: Namespace) -> None:
    """Compare runs: print tables, or JSON, write a page with a plot, and save the runs where that is asked for.

    Parameters
    ----------
    given : Namespace
        The arguments of launch/commands/compare.py.

    Raises
    ------
    SettingError
        If there is nothing to compare, the runs do not compare, or a file cannot be written there.
    """
    comparison = compare(given.folders, given.reference)
    cuts = [cut(comparison, moment) for moment in _moments(given)]
    if given.save is not None:
        save_runs(comparison.runs, given.save)
    page = _page(given)
    if page is not None:
        write_page(comparison, page, given.title, cuts)
    if given.json:
        print(json.dumps(plain(comparison, cuts), indent=2, allow_nan=False))
        return
    console = open_console(PIPE_WIDTH)
    show(comparison, console, cuts)
    for what, path in (("page", page), ("saved", given.save)):
        if path is not None:
            console.print(f"{what:<9} {path}", markup=False, soft_wrap=True)


def _moments(given: Namespace) -> list[Moment]:
    asked: dict[Spent, str | None] = {"client_epochs": given.at_epochs, "image_passes": given.at_images}
    budgets = [Budget.read(spent, text) for spent, text in asked.items() if text is not None]
    return [*budgets, *([] if given.at_quality is None else [Goal.read(given.at_quality)])]


def _page(given: Namespace) -> Path | None:
    """Say where the page goes; several folders, or a file, have no place for it but the working folder."""
    if given.output is not None or given.json:
        return given.output  # type: ignore[no-any-return]
    return (given.folders[0] if len(given.folders) == 1 and given.folders[0].is_dir() else Path()) / PAGE

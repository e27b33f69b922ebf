"""The comparison as a person reads it on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.cut import Cut
from fedphd.launch.compare.relation import relation_tables
from fedphd.launch.compare.table import caveats, main_table
from fedphd.launch.report.tables import Table as Made
from fedphd.launch.terminal import bare_table
from fedphd.launch.watch.notices import DETAIL, SUMMARY, WARNING


def show(comparison: Comparison, console: Console, cuts: Sequence[Cut] = ()) -> None:
    """Print the tables, how to read their marks, and the runs that are left out."""
    _show(comparison, console)
    for one in cuts:
        console.print(Text(f"\n{one.title}", SUMMARY))
        for note in one.notes:
            console.print(Text(note, DETAIL), soft_wrap=True)
        _show(one.comparison, console)


def _show(comparison: Comparison, console: Console) -> None:
    console.print(_table(main_table(comparison)))
    for made in relation_tables(comparison):
        console.print(Text(f"\n{made.title}", SUMMARY))
        console.print(_table(made))
    for caveat in caveats(comparison):
        console.print(Text(caveat, DETAIL), soft_wrap=True)
    for name, reason in comparison.left_out:
        console.print(Text(f"left out: {name}: {reason}", WARNING), soft_wrap=True)


def _table(made: Made) -> Table:
    table = bare_table()
    for index, title in enumerate(made.head):
        numbers = index >= made.words
        table.add_column(Text(title), justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    for row in made.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table

"""The comparison as a person reads it on a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.table import caveats, main_table
from fedphd.launch.watch.notices import DETAIL, SUMMARY, WARNING


def show(comparison: Comparison, console: Console) -> None:
    """Print the table, how to read its marks, and the runs that are left out."""
    made = main_table(comparison)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=SUMMARY)
    for index, title in enumerate(made.head):
        numbers = index >= made.words
        table.add_column(Text(title), justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    for row in made.rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    for caveat in caveats(comparison):
        console.print(Text(caveat, DETAIL), soft_wrap=True)
    for name, reason in comparison.left_out:
        console.print(Text(f"left out: {name}: {reason}", WARNING), soft_wrap=True)

"""Rows in relation to a reference: how much better they are, how sure that is, and at what share of its costs."""

from fedphd.common.run.figures import three_digits
from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.intervals import LEVEL, Difference, Interval, paired
from fedphd.launch.compare.quantities import NOT_APPLICABLE, SHARES, UNKNOWN, Quantity
from fedphd.launch.report.tables import Table

SURE = f"{LEVEL:.0%}".replace("%", " %")
QUALITY = ("seeds", f"difference [{SURE}]", f"in per cent [{SURE}]")


def relation_tables(comparison: Comparison) -> list[Table]:
    """Make a table for each reference, of all rows but itself; none where there is no other row."""
    return [_table(comparison, reference) for reference in comparison.references if comparison.others(reference)]


def relation_notes() -> list[str]:
    """Say in sentences what the cells of such a table are."""
    return [
        "seeds: Those that both have: their runs are compared in pairs, since a seed decides partition, first weights "
        "and participants for both.",
        f"difference: Mean of the differences of quality, and Student's {SURE} interval of it; below zero is better. "
        "An interval that holds zero does not tell the two apart. With one seed there is none.",
        "in per cent: The same of the ratios, by their geometric mean.",
        "The other columns: Shares of what the reference has.",
        *(f"{quantity.title}: {quantity.note}" for quantity in SHARES),
    ]


def share(row: Configuration, reference: Configuration, quantity: Quantity) -> float | None:
    """Give a quantity's mean as a share of the reference's; None if one is unknown, or the reference has none of it."""
    mine, whole = row.spread(quantity), reference.spread(quantity)
    return None if mine is None or whole is None or not whole.mean else mine.mean / whole.mean


def _table(comparison: Comparison, reference: Configuration) -> Table:
    rows = [
        [row.name, *_difference(paired(row, reference)), *(_share(row, reference, one) for one in SHARES)]
        for row in comparison.others(reference)
    ]
    head = ["configuration", *QUALITY, *(quantity.title for quantity in SHARES)]
    return Table(f"In relation to {reference.name} ({_tiers(reference)})", head, rows)


def _tiers(row: Configuration) -> str:
    """Say of which FedAvg, or whatever it is: flat or not, and with how many passes."""
    epochs, edge_rounds = (row.settings.get(key, UNKNOWN) for key in ("training.epochs", "topology.edge_rounds"))
    return f"flat, E = {epochs}" if row.runs[0].flat else f"with edges, r_g = {edge_rounds}, E = {epochs}"


def _difference(difference: Difference | None) -> list[str]:
    if difference is None:
        return ["0", NOT_APPLICABLE, NOT_APPLICABLE]
    per_cent = NOT_APPLICABLE if difference.per_cent is None else _interval(difference.per_cent)
    return [str(len(difference.seeds)), _interval(difference.absolute), per_cent]


def _interval(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return _signed(interval.mean)
    return f"{_signed(interval.mean)} [{_signed(interval.low)}, {_signed(interval.high)}]"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{three_digits(value)}"


def _share(row: Configuration, reference: Configuration, quantity: Quantity) -> str:
    found = share(row, reference, quantity)
    if found is not None:
        return f"{100 * found:.1f} %"
    known = row.spread(quantity) and reference.spread(quantity)
    return NOT_APPLICABLE if known else UNKNOWN

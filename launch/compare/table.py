"""The comparison as a table: a row for each configuration, and what real images score."""

from fedphd.common.run.figures import three_digits
from fedphd.launch.compare.comparison import Comparison, Floor
from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.numbers import Spread, pick_unit
from fedphd.launch.compare.quantities import NOT_APPLICABLE, QUALITY, UNKNOWN, Quantity
from fedphd.launch.report.tables import Table

BY_CLIENT = "†"
FLOOR = "real images, as many as generated"


def main_table(comparison: Comparison) -> Table:
    """Make the table of means and spreads.

    Parameters
    ----------
    comparison : Comparison
        The runs.

    Returns
    -------
    Table
        First the configuration and its seeds, then each quantity that there is.
    """
    head, columns = ["configuration", "seeds"], []
    for quantity in comparison.quantities:
        title, cells = _column(quantity, comparison)
        head.append(title)
        columns.append(cells)
    first = [[row.name, _seeds(row)] for row in comparison.configurations]
    first += [[name, ""] for name, _ in _real(comparison)]
    rows = [[*words, *(column[index] for column in columns)] for index, words in enumerate(first)]
    return Table("", head, rows, words=2)


def caveats(comparison: Comparison) -> list[str]:
    """Say in sentences what makes rows less than comparable."""
    found = []
    if not comparison.same_seeds:
        found.append("Not all rows have the same seeds, which also decide who holds which images.")
    if len(comparison.images) > 1:
        numbers = " and ".join(str(number or UNKNOWN) for number in comparison.images)
        found.append(
            f"Quality is over different numbers of images ({numbers}), since not every run was measured after its last "
            "round: such distances do not compare, and have no floor in common."
        )
    if any(row.over_clients for row in comparison.configurations):
        found.append(f"{BY_CLIENT} Mean over the clients' own models, since there is no global one.")
    return found


def notes(comparison: Comparison) -> list[str]:
    """Say in sentences what the cells are, and each column."""
    found = ["Mean ± sample standard deviation over seeds; without ± there is one seed, or all seeds agree."]
    found += [f"{_title(quantity, comparison)}: {quantity.note}" for quantity in comparison.quantities]
    if comparison.real:
        found.append(
            f"{comparison.other_images}: How far all of these are from the reference that quality is measured against: "
            "a model that scores lower is nearer to the reference than they are. One value for each seed."
        )
    if comparison.floor:
        found.append(
            f"{FLOOR}: The floor: what as many score that are drawn from the reference itself, ± over such draws; "
            "about what a perfect model would score. Differences of less than this ± are noise."
        )
    return found


def plus_minus(spread: Spread | Floor) -> str:
    """Write mean and spread with the mean's three digits: ``24.6 ± 1.3``."""
    mean = three_digits(spread.mean)
    if not spread.std:
        return mean
    return f"{mean} ± {spread.std:.{len(mean.partition('.')[2])}f}"


def _column(quantity: Quantity, comparison: Comparison) -> tuple[str, list[str]]:
    """Make the head and the cells of a quantity, all in one unit."""
    spreads = [row.spread(quantity) for row in comparison.configurations]
    title, factor = _title(quantity, comparison), 1.0
    if quantity.units:
        factor, unit = pick_unit([one.mean for one in spreads if one], quantity.units)
        title += f" ({unit})"
    cells = [
        _missing(quantity, row) if one is None else plus_minus(_scaled(one, factor)) + _mark(quantity, row)
        for one, row in zip(spreads, comparison.configurations, strict=True)
    ]
    cells += [plus_minus(one) if quantity is QUALITY else "" for _, one in _real(comparison)]
    return title, cells


def _real(comparison: Comparison) -> list[tuple[str, Spread | Floor]]:
    """Say what real images score, as far as it is known."""
    scored = ((comparison.other_images, comparison.real), (FLOOR, comparison.floor))
    return [(name, one) for name, one in scored if one is not None]


def _seeds(row: Configuration) -> str:
    seeds = ", ".join(map(str, row.seeds))
    return f"{len(row.seeds)} of {len(row.seeds) + len(row.absent)}: {seeds}" if row.absent else seeds


def _missing(quantity: Quantity, row: Configuration) -> str:
    return NOT_APPLICABLE if row.absent else quantity.missing


def _title(quantity: Quantity, comparison: Comparison) -> str:
    if quantity is not QUALITY:
        return quantity.title
    return f"{'FID' if comparison.measure == 'fid' else comparison.measure} ↓"


def _mark(quantity: Quantity, row: Configuration) -> str:
    return f" {BY_CLIENT}" if quantity is QUALITY and row.over_clients else ""


def _scaled(spread: Spread, factor: float) -> Spread:
    return Spread(tuple(value / factor for value in spread.values))

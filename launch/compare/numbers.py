"""Numbers of several runs: their mean and spread over seeds, and the unit to show them in."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

Units = tuple[tuple[float, str], ...]  # (size, name), from small to large

BYTES: Units = ((1e6, "MB"), (1e9, "GB"))
COUNT: Units = ((1e6, "M"), (1e9, "G"))
IMAGES: Units = ((1e3, "k"), (1e6, "M"), (1e9, "G"))
OPERATIONS: Units = ((1e9, "G"), (1e12, "T"), (1e15, "P"))
TIME: Units = ((1.0, "s"), (3600.0, "h"))


@dataclass(frozen=True)
class Spread:
    """The values of one quantity, one for each seed.

    Attributes
    ----------
    values : tuple[float, ...]
        In the order of the seeds; at least one.
    """

    values: tuple[float, ...]

    @cached_property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.values)

    @cached_property
    def std(self) -> float | None:
        """Their sample standard deviation (n - 1); None of a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def spread(values: Iterable[float | None]) -> Spread | None:
    """Gather the values of a quantity; None if one is missing, since a mean over other seeds is another thing."""
    found = tuple(values)
    known = tuple(value for value in found if value is not None)
    return Spread(known) if known and len(known) == len(found) else None


def pick_unit(values: Sequence[float], units: Units) -> tuple[float, str]:
    """Pick the largest unit in which no value but zero is below one; the smallest, if there is none such."""
    positive = [value for value in values if value > 0]
    fitting = [unit for unit in units if positive and min(positive) >= unit[0]]
    return fitting[-1] if fitting else units[0]

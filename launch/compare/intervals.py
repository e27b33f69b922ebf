"""How sure a difference is: seeds paired, and a t interval of their mean.

The seed decides the partition, the first weights and who trains when, so two runs with one seed have much in common:
the spread of their differences is less than that of the runs.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.quantities import QUALITY

LEVEL = 0.95
LARGEST = 700.0  # logarithm of a ratio: past it a float ends


@dataclass(frozen=True)
class Interval:
    """A mean, and where at `LEVEL` the true one lies; no bounds of a single value."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Make Student's interval, with n - 1 degrees of freedom: the values are taken as normally distributed."""
        mean, number = statistics.fmean(values), len(values)
        if number < 2:
            return cls(mean, None, None)
        half = float(t.ppf((1 + LEVEL) / 2, number - 1)) * statistics.stdev(values) / math.sqrt(number)
        return cls(mean, mean - half, mean + half)

    @property
    def per_cent(self) -> "Interval":
        """Read it as one of natural logarithms of ratios: the change in per cent."""
        low, high = (None if bound is None else _per_cent(bound) for bound in (self.low, self.high))
        return Interval(_per_cent(self.mean), low, high)


@dataclass(frozen=True)
class Difference:
    """The quality of one configuration less that of another, seed by seed.

    Attributes
    ----------
    seeds : tuple[int, ...]
        Those that both have.
    absolute : Interval
        Of the differences.
    per_cent : Interval or None
        Of the ratios, by their geometric mean: -34 is a third less. None where a value is not positive.
    """

    seeds: tuple[int, ...]
    absolute: Interval
    per_cent: Interval | None


def paired(row: Configuration, other: Configuration) -> Difference | None:
    """Compare the quality of `row` with that of `other`; None if there is no seed with which both were measured.

    None too where seeds are absent: pairs of the others alone would be of those that got there.
    """
    if row.absent or other.absent:
        return None
    mine, theirs = _by_seed(row), _by_seed(other)
    seeds = tuple(seed for seed in mine if seed in theirs)
    if not seeds:
        return None
    pairs = [(mine[seed], theirs[seed]) for seed in seeds]
    positive = all(value > 0 for pair in pairs for value in pair)
    return Difference(
        seeds,
        Interval.of([one - two for one, two in pairs]),
        Interval.of([math.log(one / two) for one, two in pairs]).per_cent if positive else None,
    )


def _by_seed(row: Configuration) -> dict[int, float]:
    return {run.seed: value for run in row.runs if (value := QUALITY.of(run)) is not None}


def _per_cent(logarithm: float) -> float:
    return 100 * math.expm1(min(logarithm, LARGEST))

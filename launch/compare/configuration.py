"""A configuration: the runs that differ in nothing but the seed, which are one row of the comparison."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fedphd.launch.compare.numbers import Spread, spread
from fedphd.launch.compare.quantities import Quantity, over_clients
from fedphd.launch.compare.runs import Run
from fedphd.launch.compare.settings import Settings
from fedphd.launch.compare.standing import Standing


@dataclass(frozen=True)
class Point:
    """A point of a curve.

    Attributes
    ----------
    round : int
        The root round after which it was measured.
    bytes : float
        Payload of all hops so far, mean over seeds.
    client_epochs : float or None
        Passes of clients over their images so far, mean over seeds; None if that is unknown.
    images : int or None
        Over how many images it was measured.
    quality : Spread
        The quality measure.
    """

    round: int
    bytes: float
    client_epochs: float | None
    images: int | None
    quality: Spread


@dataclass(frozen=True)
class Configuration:
    """A row: the finished runs of one configuration.

    Attributes
    ----------
    name : str
        Its method, and what tells it apart from other rows.
    settings : Settings
        Its settings.
    runs : Sequence[Run]
        One for each seed, in the order of the seeds.
    absent : Sequence[int]
        Seeds of it that have no run here, since theirs have no such moment (`launch/compare/cut.py`). With some absent
        there are no means: the others are not a sample of all, but those that got there.
    """

    name: str
    settings: Settings
    runs: Sequence[Run]
    absent: Sequence[int] = ()

    @property
    def seeds(self) -> list[int]:
        """The seeds."""
        return [run.seed for run in self.runs]

    @property
    def over_clients(self) -> bool:
        """Whether quality is a mean over the clients' models, for want of a global one."""
        return any(over_clients(run) is not None for run in self.runs)

    def spread(self, quantity: Quantity) -> Spread | None:
        """Give a quantity's values over the seeds; None if a run does not have it, or a seed is absent."""
        return None if self.absent else spread(quantity.of(run) for run in self.runs)

    @cached_property
    def curve(self) -> list[Point]:
        """Quality against payload, at the rounds that were measured with every seed, over as many images."""
        if self.absent:
            return []
        by_round = [{one.round: one for one in run.curve} for run in self.runs]
        found = [[one[number] for one in by_round] for number in sorted(set.intersection(*map(set, by_round)))]
        return [self._point(measured) for measured in found if len({one.images for one in measured}) == 1]

    def _point(self, measured: Sequence[Standing]) -> Point:
        epochs = spread(one.client_epochs for one in measured)
        values = (one.measures[str(run.measure)] for run, one in zip(self.runs, measured, strict=True))
        return Point(
            measured[0].round,
            statistics.fmean(one.bytes for one in measured),
            None if epochs is None else epochs.mean,
            measured[0].images,
            Spread(tuple(values)),
        )

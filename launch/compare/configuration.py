"""A configuration: the runs that differ in nothing but the seed, which are one row of the comparison."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fedphd.launch.compare.numbers import Spread, spread
from fedphd.launch.compare.quantities import Quantity, over_clients
from fedphd.launch.compare.runs import Run
from fedphd.launch.compare.settings import Settings


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
    quality : Spread
        The quality measure.
    """

    round: int
    bytes: float
    client_epochs: float | None
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
    """

    name: str
    settings: Settings
    runs: Sequence[Run]

    @property
    def seeds(self) -> list[int]:
        """The seeds."""
        return [run.seed for run in self.runs]

    @property
    def over_clients(self) -> bool:
        """Whether quality is a mean over the clients' models, for want of a global one."""
        return any(over_clients(run) is not None for run in self.runs)

    def spread(self, quantity: Quantity) -> Spread | None:
        """Give a quantity's values over the seeds; None if a run does not have it."""
        return spread(quantity.of(run) for run in self.runs)

    @cached_property
    def curve(self) -> list[Point]:
        """Quality against payload, at the rounds that were measured with every seed."""
        by_round = [{one.round: (one, one.measures[str(run.measure)]) for one in run.curve} for run in self.runs]
        points = []
        for number in sorted(set.intersection(*map(set, by_round))):
            measured = [found[number] for found in by_round]
            epochs = spread(one.client_epochs for one, _ in measured)
            points.append(
                Point(
                    number,
                    statistics.fmean(one.bytes for one, _ in measured),
                    None if epochs is None else epochs.mean,
                    Spread(tuple(value for _, value in measured)),
                )
            )
        return points

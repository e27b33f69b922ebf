"""Putting runs side by side: one configuration for all runs that differ in nothing but the seed."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fedphd.common.errors import SettingError
from fedphd.launch.compare import settings
from fedphd.launch.compare.folders import find_runs, short_names
from fedphd.launch.compare.numbers import QUANTITIES, Quantity, Spread, over_clients, spread
from fedphd.launch.compare.runs import Run, check_same_measure, flaw
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
    quality : Spread
        The quality measure.
    """

    round: int
    bytes: float
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
        by_round = [{line.round: line for line in run.folder.evaluations} for run in self.runs]
        points = []
        for number in sorted(set.intersection(*map(set, by_round))):
            lines = [lines[number] for lines in by_round]
            sent = spread(line.total("bytes") for line in lines)
            measured = [found for line in lines if (found := line.quality)]
            if sent is not None:
                points.append(Point(number, sent.mean, Spread(tuple(value for _, value in measured))))
        return points


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    configurations : Sequence[Configuration]
        The rows, in the order in which their first runs were given; at least one.
    left_out : Sequence[tuple[str, str]]
        Runs that are in no row, and why.
    """

    configurations: Sequence[Configuration]
    left_out: Sequence[tuple[str, str]]

    @property
    def runs(self) -> list[Run]:
        """The runs that are compared."""
        return [run for row in self.configurations for run in row.runs]

    @property
    def measure(self) -> str | None:
        """Name of the quality measure, e.g. ``fid``; None if nothing was measured."""
        return next((run.measured[0] for run in self.runs if run.measured), None)

    @cached_property
    def quantities(self) -> list[Quantity]:
        """The quantities that at least one row has."""
        return [one for one in QUANTITIES if any(row.spread(one) for row in self.configurations)]

    @cached_property
    def reference(self) -> Spread | None:
        """What real held-out images score: one value for each seed, since the seed decides which are held out."""
        by_seed = defaultdict(list)
        for run in self.runs:
            value = run.folder.evaluations[-1].reference if run.folder.evaluations else None
            if value is not None:
                by_seed[run.seed].append(value)
        return spread(statistics.fmean(by_seed[seed]) for seed in sorted(by_seed))

    @property
    def same_seeds(self) -> bool:
        """Whether all rows have the same seeds."""
        return len({tuple(row.seeds) for row in self.configurations}) == 1

    @property
    def shared(self) -> Settings:
        """The settings of all rows."""
        return settings.shared([row.settings for row in self.configurations])

    @property
    def usual(self) -> Settings:
        """The most common values of the settings in which rows differ."""
        return settings.usual([row.settings for row in self.configurations])


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare the runs in run folders and sweep folders.

    Parameters
    ----------
    folders : Sequence[Path]
        Run folders, and folders that hold some, up to two levels below.

    Returns
    -------
    Comparison
        Runs that failed or are not finished are left out, and of runs that differ in nothing the older ones.

    Raises
    ------
    SettingError
        If there is no finished run, or the runs' quality was measured in different ways.
    """
    run_dirs = find_runs(folders)
    runs = [Run.read(run_dir, name) for run_dir, name in zip(run_dirs, short_names(run_dirs), strict=True)]
    left_out = [(run.name, reason) for run in runs if (reason := flaw(run))]
    sound = [run for run in runs if not flaw(run)]
    if not sound:
        name, reason = left_out[0]
        raise SettingError("RUN_FOLDER", folders[0], f"there is no finished run to compare; {name}: {reason}")
    check_same_measure(sound)
    kept, repeats = _newest(sound)
    return Comparison(_rows(kept), [*left_out, *repeats])


def _newest(runs: Sequence[Run]) -> tuple[list[Run], list[tuple[str, str]]]:
    """Keep the run that started last among those with the same configuration and seed; say what happens to the rest."""
    newest: dict[object, Run] = {}
    for run in runs:
        other = newest.setdefault(_identity(run), run)
        if (run.folder.history.first or 0) > (other.folder.history.first or 0):
            newest[_identity(run)] = run
    kept = [run for run in runs if newest[_identity(run)] is run]
    repeats = [
        (run.name, f"the newer {newest[_identity(run)].name} has the same configuration and seed")
        for run in runs
        if newest[_identity(run)] is not run
    ]
    return kept, repeats


def _identity(run: Run) -> object:
    return run.seed, frozenset(run.settings.items())


def _rows(runs: Sequence[Run]) -> list[Configuration]:
    groups: dict[frozenset[tuple[str, str]], list[Run]] = defaultdict(list)
    for run in runs:
        groups[frozenset(run.settings.items())].append(run)
    alike = [sorted(group, key=lambda run: run.seed) for group in groups.values()]
    names = settings.labels([group[0].settings for group in alike])
    return [Configuration(name, group[0].settings, group) for name, group in zip(names, alike, strict=True)]

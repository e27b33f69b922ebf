"""Putting runs side by side: one configuration for all runs that differ in nothing but the seed."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fedphd.common.errors import SettingError
from fedphd.launch.compare import settings
from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.gathering import gather
from fedphd.launch.compare.numbers import Spread, spread
from fedphd.launch.compare.quantities import QUANTITIES, UNKNOWN, Quantity, further
from fedphd.launch.compare.reference import pick_references
from fedphd.launch.compare.runs import Run, check_same_measure, of_one_version
from fedphd.launch.compare.settings import Settings
from fedphd.launch.report.curves import images_beside


@dataclass(frozen=True)
class Floor:
    """What real images score that are as many as the generated ones: mean and standard deviation over draws of them."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    configurations : Sequence[Configuration]
        The rows, in the order in which their first runs were given; at least one.
    left_out : Sequence[tuple[str, str]]
        Runs that are in no row, and why.
    references : Sequence[Configuration]
        The rows to which the others are set in relation: those that were named, else the best that there is.
    """

    configurations: Sequence[Configuration]
    left_out: Sequence[tuple[str, str]]
    references: Sequence[Configuration]

    @property
    def runs(self) -> list[Run]:
        """The runs that are compared."""
        return [run for row in self.configurations for run in row.runs]

    @property
    def measure(self) -> str | None:
        """Name of the quality measure, e.g. ``fid``; None if nothing was measured."""
        return next((run.measure for run in self.runs if run.measure), None)

    @cached_property
    def quantities(self) -> list[Quantity]:
        """The quantities that at least one row has, and those that it should have."""
        known = [QUANTITIES[0], *further(self.runs), *QUANTITIES[1:]]
        return [one for one in known if one.missing == UNKNOWN or any(row.spread(one) for row in self.configurations)]

    @cached_property
    def real(self) -> Spread | None:
        """What the real images of the split that is not the reference score (`other_images` names them).

        One value for each seed, since the seed decides which are held out.
        """
        return self._by_seed("*_reference")

    @property
    def other_images(self) -> str:
        """Which real images are not those that quality is measured against."""
        measured = (run for run in self.runs if run.measure is not None)
        return next((images_beside(run.settings.get("evaluation.reference", "train")) for run in measured), "")

    @cached_property
    def images(self) -> list[int | None]:
        """Over how many images quality is; more than one number, where it does not compare."""
        return list(dict.fromkeys(run.curve[-1].images for run in self.runs if run.curve))

    @cached_property
    def floor(self) -> Floor | None:
        """What as many real images score as were generated; None if that is not measured, or not for one number."""
        if len(self.images) > 1:
            return None
        mean, std = self._by_seed("*_floor"), self._by_seed("*_floor_std")
        return None if mean is None else Floor(mean.mean, None if std is None else std.mean)

    def _by_seed(self, key: str) -> Spread | None:
        """Gather what is the same for all runs with one seed."""
        by_seed = defaultdict(list)
        for run in self.runs:
            if (value := run.scored(key)) is not None:
                by_seed[run.seed].append(value)
        return spread(statistics.fmean(by_seed[seed]) for seed in sorted(by_seed))

    def others(self, reference: Configuration) -> list[Configuration]:
        """Give the rows but for one, and for those that have no means."""
        return [row for row in self.configurations if row is not reference and not row.absent]

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


def compare(given: Sequence[Path], references: Sequence[str] = ()) -> Comparison:
    """Compare the runs in run folders, sweep folders and files of saved runs.

    Parameters
    ----------
    given : Sequence[Path]
        Run folders, folders that hold some, up to two levels below, and JSON files of `fedphd compare --save`.
    references : Sequence[str], optional
        Names of the rows to which the others are set in relation.

    Returns
    -------
    Comparison
        Runs that failed or are not finished are left out, and of runs that differ in nothing the older ones.

    Raises
    ------
    SettingError
        If there is no finished run, a file holds no saved runs, the runs' quality was measured in different ways, or
        there is no row of a reference's name.
    """
    runs, left_out = gather(given)
    if not runs:
        name, reason = left_out[0]
        raise SettingError("RUN_FOLDER", given[0], f"there is no finished run to compare; {name}: {reason}")
    runs = of_one_version(runs)
    check_same_measure(runs)
    kept, repeats = _newest(runs)
    rows = _rows(kept)
    return Comparison(rows, [*left_out, *repeats], pick_references(rows, references))


def _newest(runs: Sequence[Run]) -> tuple[list[Run], list[tuple[str, str]]]:
    """Keep the run that started last among those with the same configuration and seed; say what happens to the rest."""
    newest: dict[object, Run] = {}
    for run in runs:
        other = newest.setdefault(_identity(run), run)
        if (run.started or 0) > (other.started or 0):
            newest[_identity(run)] = run
    kept = [run for run in runs if newest[_identity(run)] is run]
    repeats = [(run.name, _repeated(run, newest[_identity(run)])) for run in runs if newest[_identity(run)] is not run]
    return kept, repeats


def _repeated(run: Run, kept: Run) -> str:
    if run.started == kept.started:
        return f"{kept.name} is the same run"
    return f"the newer {kept.name} has the same configuration and seed"


def _identity(run: Run) -> object:
    return run.seed, frozenset(run.settings.items())


def _rows(runs: Sequence[Run]) -> list[Configuration]:
    groups: dict[frozenset[tuple[str, str]], list[Run]] = defaultdict(list)
    for run in runs:
        groups[frozenset(run.settings.items())].append(run)
    alike = [sorted(group, key=lambda run: run.seed) for group in groups.values()]
    names = settings.labels([group[0].settings for group in alike])
    return [Configuration(name, group[0].settings, group) for name, group in zip(names, alike, strict=True)]

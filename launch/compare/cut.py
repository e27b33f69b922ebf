"""Runs as they stood at an earlier moment: when they had spent as much, or first were as good.

All rows of a cut are measured over as many images. After its last round a run may measure more than before, which alone
makes a distance smaller: where only some runs would be at their end, none is looked at there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from fedphd.common.errors import SettingError
from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.runs import Run


class Moment(Protocol):
    """When to look at each run (`Budget`, `Goal`)."""

    @property
    def what(self) -> str:
        """Name of what is limited."""

    @property
    def option(self) -> str:
        """The option by which it was asked for."""

    @property
    def note(self) -> str:
        """Say in a sentence which moment it is."""

    @property
    def advice(self) -> str:
        """Say what to do where no run has such a moment."""

    def within(self, runs: Sequence[Run]) -> float:
        """Give the limit for these runs."""

    def cut(self, run: Run, limit: float) -> Run | None:
        """Cut a run there; None if it has no such moment."""

    def title(self, limit: float, measure: str | None) -> str:
        """Say what it is, as a heading."""

    def missed(self, limit: float) -> str:
        """Say why a run is left out."""


@dataclass(frozen=True)
class Cut:
    """Runs as they stood at a moment.

    Attributes
    ----------
    moment : Moment
        Which one.
    limit : float
        What it is limited to.
    comparison : Comparison
        The runs, each cut there; one that has no such moment is left out, and its seed is absent from its row.
    """

    moment: Moment
    limit: float
    comparison: Comparison

    @property
    def title(self) -> str:
        """What it is, as a heading."""
        return self.moment.title(self.limit, self.comparison.measure)

    @property
    def images(self) -> int | None:
        """Over how many images all of its runs were measured; None: their settings do not tell."""
        return self.comparison.runs[0].final.images

    @property
    def notes(self) -> list[str]:
        """Say in sentences which moment it is, over how many images quality is, and what has no means."""
        found = [self.moment.note]
        drawn = self.comparison.runs[0].drawn
        if drawn.differ:
            found.append(f"Quality is over {self.images} images in all rows{self._others()}.")
        if any(row.absent for row in self.comparison.configurations):
            found.append(
                "A row of which a seed has no such moment says how many have one. It has no means, and is set in no "
                "relation, since those that got there are not all."
            )
        return found

    def _others(self) -> str:
        """Say what becomes of evaluations over another number."""
        drawn = self.comparison.runs[0].drawn
        if self.images == drawn.last:
            return f", as each run is at its end; evaluations before that are over {drawn.before}, which do not compare"
        return f"; evaluations after a last round, over {drawn.last}, do not compare and do not count here"


def cut(comparison: Comparison, moment: Moment) -> Cut:
    """Take each run as it stood at a moment.

    Where these are evaluations over different numbers of images, only those over as many as before the last round
    count.

    Raises
    ------
    SettingError
        If no run has it.
    """
    limit, rows = _take(comparison.configurations, moment)
    over = ""
    if len({run.final.images for row in rows for run in row.runs}) > 1:
        limit, rows = _take(_keep(comparison.configurations, Run.before_last), moment)
        over = f"over {rows[0].runs[0].final.images} images, "
    if not rows:
        raise SettingError(moment.option, limit, moment.advice)
    kept = {run.name for row in rows for run in row.runs}
    left_out = [(run.name, over + moment.missed(limit)) for run in comparison.runs if run.name not in kept]
    references = [row for one in comparison.references for row in rows if row.name == one.name and not row.absent]
    return Cut(moment, limit, Comparison(rows, left_out, references))


def _take(rows: Sequence[Configuration], moment: Moment) -> tuple[float, list[Configuration]]:
    limit = moment.within([run for row in rows for run in row.runs])
    return limit, _keep(rows, lambda run: moment.cut(run, limit))


def _keep(rows: Sequence[Configuration], part: Callable[[Run], Run | None]) -> list[Configuration]:
    """Take a part of each run; seeds whose run has none are absent from then on, and rows with no others are gone."""
    kept = []
    for row in rows:
        parts = [(run, part(run)) for run in row.runs]
        absent = [*row.absent, *(run.seed for run, found in parts if found is None)]
        if runs := [found for _, found in parts if found is not None]:
            kept.append(replace(row, runs=runs, absent=absent))
    return kept

"""Runs as they stood at an earlier moment: when they had spent as much, or first were as good."""

from collections.abc import Sequence
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
        The runs, each cut there; one that has no such moment is left out.
    """

    moment: Moment
    limit: float
    comparison: Comparison

    @property
    def title(self) -> str:
        """What it is, as a heading."""
        return self.moment.title(self.limit, self.comparison.measure)


def cut(comparison: Comparison, moment: Moment) -> Cut:
    """Take each run as it stood at a moment.

    Raises
    ------
    SettingError
        If no run has it.
    """
    limit = moment.within(comparison.runs)
    rows: list[Configuration] = []
    left_out: list[tuple[str, str]] = []
    for row in comparison.configurations:
        pairs = [(run, moment.cut(run, limit)) for run in row.runs]
        left_out += [(run.name, moment.missed(limit)) for run, short in pairs if short is None]
        if kept := [short for _, short in pairs if short is not None]:
            rows.append(replace(row, runs=kept))
    if not rows:
        raise SettingError(moment.option, limit, moment.advice)
    references = [row for one in comparison.references for row in rows if row.name == one.name]
    return Cut(moment, limit, Comparison(rows, left_out, references))

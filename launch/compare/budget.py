"""What runs had reached when they had spent as much: papers compare at equal client epochs, not at equal rounds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fedphd.common.errors import SettingError
from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.runs import Run

Spent = Literal["client_epochs", "image_passes"]

OPTIONS: dict[Spent, str] = {"client_epochs": "--at-epochs", "image_passes": "--at-images"}
EQUAL = "equal"


@dataclass(frozen=True)
class Budget:
    """As much of `spent` as each run may have spent; None: as much as all of them did."""

    spent: Spent
    limit: int | None

    @classmethod
    def read(cls, spent: Spent, given: str) -> "Budget":
        """Read what was given on the command line: a whole number, or "equal".

        Raises
        ------
        SettingError
            If it is neither.
        """
        if given == EQUAL:
            return cls(spent, None)
        if not given.isdecimal():
            raise SettingError(OPTIONS[spent], given, f"must be a whole number, or {EQUAL}: what all runs have reached")
        return cls(spent, int(given))

    @property
    def words(self) -> str:
        """What is spent, in words."""
        return self.spent.replace("_", " ")

    def within(self, runs: Sequence[Run]) -> int:
        """Say how much these runs may have spent.

        Raises
        ------
        SettingError
            If it is as much as all of them did, and no run knows how much that was.
        """
        if self.limit is not None:
            return self.limit
        known = [spent for run in runs if (spent := getattr(run.final, self.spent)) is not None]
        if not known:
            advice = f"no run tells its {self.words}: they are of an older version; use {OPTIONS['image_passes']}"
            raise SettingError(OPTIONS[self.spent], EQUAL, advice)
        return int(min(known))


@dataclass(frozen=True)
class Cut:
    """Runs as they stood when they had spent as much.

    Attributes
    ----------
    budget : Budget
        What was spent.
    limit : int
        How much at most.
    comparison : Comparison
        The runs, each cut after its last evaluation within the limit; one that has none that is known to be is left
        out.
    """

    budget: Budget
    limit: int
    comparison: Comparison

    @property
    def title(self) -> str:
        """What it is, as a heading."""
        return f"At {self.limit} {self.budget.words}"


def cut(comparison: Comparison, budget: Budget) -> Cut:
    """Take each run as it stood at its last evaluation within a budget.

    Raises
    ------
    SettingError
        If there is none.
    """
    limit = budget.within(comparison.runs)
    rows: list[Configuration] = []
    left_out: list[tuple[str, str]] = []
    for row in comparison.configurations:
        pairs = [(run, run.until(budget.spent, limit)) for run in row.runs]
        why = f"no evaluation of it is known to be within {limit} {budget.words}"
        left_out += [(run.name, why) for run, short in pairs if short is None]
        if kept := [short for _, short in pairs if short is not None]:
            rows.append(replace(row, runs=kept))
    if not rows:
        raise SettingError(OPTIONS[budget.spent], limit, "no evaluation is known to be within it; use a larger number")
    references = [row for one in comparison.references for row in rows if row.name == one.name]
    return Cut(budget, limit, Comparison(rows, left_out, references))

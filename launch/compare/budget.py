"""As much as runs may have spent: papers compare at equal client epochs, not at equal rounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fedphd.common.errors import SettingError
from fedphd.launch.compare.runs import Run

Spent = Literal["client_epochs", "image_passes"]

OPTIONS: dict[Spent, str] = {"client_epochs": "--at-epochs", "image_passes": "--at-images"}
EQUAL = "equal"


@dataclass(frozen=True)
class Budget:
    """The last evaluation before a run had more than so much of `spent`; None: than as much as all runs had."""

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
    def what(self) -> str:
        """Name of what is limited."""
        return self.spent

    @property
    def option(self) -> str:
        """The option by which it was asked for."""
        return OPTIONS[self.spent]

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
            raise SettingError(self.option, EQUAL, f"no run tells its {self._words}; {self._instead}")
        return int(min(known))

    def cut(self, run: Run, limit: float) -> Run | None:
        """Cut a run after its last evaluation within the limit; None if none is known to be."""
        return run.until(self.spent, int(limit))

    def title(self, limit: float, _measure: str | None) -> str:
        """Say what it is, as a heading."""
        return f"At {limit:.0f} {self._words}"

    @property
    def note(self) -> str:
        """Say in a sentence which moment it is."""
        return "Each run as it stood at its last evaluation before it had more of them."

    def missed(self, limit: float) -> str:
        """Say why a run is left out."""
        return f"no evaluation of it is known to be within {limit:.0f} {self._words}"

    @property
    def advice(self) -> str:
        """Say what to do where no run has such a moment."""
        return (
            f"no evaluation is known to be within it; use a larger number, or, where runs do not tell, {self._instead}"
        )

    @property
    def _instead(self) -> str:
        """Say what to do with runs whose metrics do not tell what they spent."""
        if self.spent == "client_epochs":
            return f"use {OPTIONS['image_passes']}: runs of 0.1.0 tell those"
        return "leave the option out"

    @property
    def _words(self) -> str:
        return self.spent.replace("_", " ")

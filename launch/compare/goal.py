"""A quality that runs are to reach: what each had sent and computed until then."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from fedphd.common.errors import SettingError
from fedphd.common.run.figures import three_digits
from fedphd.launch.compare.runs import Run

OPTION = "--at-quality"


@dataclass(frozen=True)
class Goal:
    """The first evaluation at which a run was as good as `quality`, or better."""

    quality: float

    @classmethod
    def read(cls, given: str) -> "Goal":
        """Read what was given on the command line.

        Raises
        ------
        SettingError
            If it is no number above 0.
        """
        try:
            quality = float(given)
        except ValueError:
            quality = 0.0
        if not (isfinite(quality) and quality > 0):
            raise SettingError(OPTION, given, "must be a value of the quality measure above 0, e.g. 10")
        return cls(quality)

    @property
    def what(self) -> str:
        """Name of what is limited."""
        return "quality"

    @property
    def option(self) -> str:
        """The option by which it was asked for."""
        return OPTION

    def within(self, _runs: Sequence[Run]) -> float:
        """Give the quality."""
        return self.quality

    def cut(self, run: Run, limit: float) -> Run | None:
        """Cut a run after its first evaluation at or below the limit; None if it was never as good."""
        return run.as_good_as(limit)

    def title(self, limit: float, measure: str | None) -> str:
        """Say what it is, as a heading."""
        return f"When {measure} first was {three_digits(limit)} or less"

    @property
    def note(self) -> str:
        """Say in a sentence which moment it is."""
        return "Each run as it stood at its first evaluation that was as good; it may have been so before."

    def missed(self, limit: float) -> str:
        """Say why a run is left out."""
        return f"it never was as good as {three_digits(limit)}"

    @property
    def advice(self) -> str:
        """Say what to do where no run has such a moment."""
        return "no run ever was as good; use a larger number"

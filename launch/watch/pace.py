"""How fast a run's rounds follow each other."""

from collections import deque
from dataclasses import dataclass, field

from fedphd.common.run.metrics import Metrics

NEWEST = 5  # rounds from which the pace is estimated


@dataclass
class Pace:
    """Seconds per root round, from the newest rounds.

    Attributes
    ----------
    seconds : float or None
        Per root round, evaluation included; None before two rounds are known.
    """

    seconds: float | None = None
    _elapsed: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST + 1))

    def take(self, line: Metrics, before: Metrics | None) -> None:
        """Take in the metrics of a round and those of the round before it."""
        if before and line.round <= before.round:  # the run went back to a checkpoint
            self.forget()
        if before and line.structure != before.structure:  # from here on rounds take another time
            self._elapsed = deque(list(self._elapsed)[-1:], self._elapsed.maxlen)
        self._elapsed.append(line.elapsed)
        if len(self._elapsed) > 1:
            self.seconds = (self._elapsed[-1] - self._elapsed[0]) / (len(self._elapsed) - 1)

    def forget(self) -> None:
        """Begin anew; the pace stays until two more rounds are known."""
        self._elapsed.clear()

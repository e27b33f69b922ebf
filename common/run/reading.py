"""Reading what a run has told so far, in the order in which it happened."""

from collections.abc import Iterator
from pathlib import Path

from fedphd.common.run.events import Finish, Plan
from fedphd.common.run.json_lines import Tail
from fedphd.common.run.ledger import Entry, read_entry
from fedphd.common.run.metrics import Metrics, read_metrics


class Reader:
    """Reads a run's ledger and metrics piece by piece, from where it stopped the last time.

    Parameters
    ----------
    ledger, metrics : Path
        The files; they need not exist yet.
    """

    def __init__(self, ledger: Path, metrics: Path) -> None:
        self._ledger = Tail(ledger)
        self._metrics = Tail(metrics)

    def read(self) -> Iterator[Entry | Metrics]:
        """Yield what is new: events in their order, and each round's metrics before the next round's plan, if they fit.

        Lines that a killed process left torn, or that only another version can read, are skipped.
        """
        # Before the ledger, which tells of a round first.
        metrics = [one for line in self._metrics.read() if (one := read_metrics(line))]
        for entry in self._entries():
            while metrics and _is_before(metrics[0], entry):
                yield metrics.pop(0)
            yield entry
        yield from metrics

    def _entries(self) -> Iterator[Entry]:
        return (entry for line in list(self._ledger.read()) if (entry := read_entry(line)))


def _is_before(metrics: Metrics, entry: Entry) -> bool:
    """Whether metrics were written before an event, as far as one can tell."""
    if isinstance(entry.event, Plan):
        return metrics.round < entry.event.round
    return isinstance(entry.event, Finish)

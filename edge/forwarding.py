"""The ledger of an edge that has a disk of its own: kept there, and sent to the root with each answer."""

from pathlib import Path

from fedphd.common.run.ledger import Entry, Ledger


class ForwardingLedger(Ledger):
    """A ledger that also holds its new events until they are handed out for the root."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._new: list[Entry] = []

    def take(self, entry: Entry) -> None:
        """Write an event, and keep it for the root."""
        super().take(entry)
        self._new.append(entry)

    def to_forward(self) -> list[Entry]:
        """Hand out, once, the events since the last call."""
        new, self._new = self._new, []
        return new

"""The ledger of an edge that has a disk of its own: kept there, and sent to the root with each answer."""

from pathlib import Path

from fedphd.common.run.events import Event
from fedphd.common.run.ledger import Ledger


class ForwardingLedger(Ledger):
    """A ledger that also holds its new events until they are handed out for the root."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._new: list[Event] = []

    def write(self, event: Event, edge: str | None = None) -> None:
        """Write an event, and keep it for the root."""
        super().write(event, edge)
        self._new.append(event)

    def to_forward(self) -> list[Event]:
        """Hand out, once, the events since the last call."""
        new, self._new = self._new, []
        return new

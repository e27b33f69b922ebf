"""The ledger: one JSON line for each thing that happened to a message or a model.

Progress display, report and cost tables are all made from it, so that what a person sees and what
was counted cannot differ.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from fedphd.common.run.events import EVENTS, Event
from fedphd.common.run.json_lines import JsonLines
from fedphd.common.run.measures import Measured

ROOT, EDGE = "root", "edge"  # tiers


class Ledger:
    """The events of one run, in the order in which they became known here.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = JsonLines(path)

    def write(self, event: Event, edge: str | None = None) -> None:
        """Write an event of the root's, or of an edge's."""
        whose = {"tier": ROOT, "node": ROOT} if edge is None else {"tier": EDGE, "node": edge}
        self._lines.write(time=event.time, event=event.name, **whose, **event.facts)

    def take_forwarded(self, edge: str, events: Iterable[Event]) -> None:
        """Write what an edge's ledger sent along; whose events they are does not depend on what they say."""
        for event in events:
            self.write(event, edge)

    def to_forward(self) -> list[Event]:
        """Hand out, once, the events that another tier's ledger does not have: none, where all tiers share one."""
        return []


class Entry(NamedTuple):
    """A line of the ledger: what happened, and to whom.

    Attributes
    ----------
    tier : str
        "root" or "edge".
    node : str
        "root", or the edge's name.
    event : Event
        What happened.
    """

    tier: str
    node: str
    event: Event


def read_entry(line: Mapping[str, Any]) -> Entry | None:
    """Read a line of the ledger.

    Facts that this version does not know are left out.

    Returns
    -------
    Entry or None
        None if the line is of a kind that this version does not know, or lacks what such a line must have.
    """
    name, tier, node = line.get("event"), line.get("tier"), line.get("node")
    kind = EVENTS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(tier, str) or not isinstance(node, str):
        return None
    try:
        return Entry(tier, node, kind.read(_known(kind, line)))
    except ValidationError:
        return None


def _known(kind: type[Event], line: Mapping[str, Any]) -> dict[str, Any]:
    if issubclass(kind, Measured):
        return kind.readable(line)
    return {key: value for key, value in line.items() if key in kind.model_fields}

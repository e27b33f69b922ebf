"""What clients and edges tell when they register."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from flwr.app import ConfigRecord, RecordDict

from fedphd.common.data.class_list import fault_of
from fedphd.common.run.events import Event
from fedphd.common.run.figures import one_line
from fedphd.common.run.forwarding import write_events
from fedphd.common.wire import records
from fedphd.common.wire.messages.events import read_events
from fedphd.common.wire.records import MessageError

MOST_NOTES, LONGEST_LINE = 20, 500  # of a client, and characters of one


@dataclass(frozen=True)
class Profile:
    """What a client tells about itself when it registers.

    Attributes
    ----------
    client : str
        The client's id.
    samples : int
        Number of its training images.
    classes : list[str]
        Names of its classes, which need not be those of other clients.
    counts : list[float]
        Images of each class, perhaps with privacy noise.
    notes : list[str]
        What was left out or changed when its images were read, one line each.
    """

    client: str
    samples: int
    classes: list[str]
    counts: list[float]
    notes: list[str] = field(default_factory=list)

    def entries(self) -> dict[str, Any]:
        """Give what stands in its record."""
        return asdict(self) | {"notes": json.dumps(self.notes)}  # Flower cannot count the bytes of an empty list

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        return RecordDict({"profile": ConfigRecord(self.entries())})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "profile")
        record = records.config(content, "profile", "client samples classes counts notes")
        profile = cls(
            records.text(record, "client"),
            records.count(record, "samples"),
            records.names(record, "classes"),
            records.numbers(record, "counts"),
            records.lines(record, "notes", MOST_NOTES, LONGEST_LINE),
        )
        if not profile.counts or min(profile.counts) < 0 or len(profile.counts) != len(profile.classes):
            raise MessageError("label counts must be given, one for each class, and not be negative")
        if fault := fault_of(profile.classes):
            raise MessageError(fault)
        return profile


@dataclass(frozen=True)
class Unable:
    """A client that cannot take part, and the one line that tells its user why."""

    client: str
    reason: str

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        return RecordDict({"unable": ConfigRecord(asdict(self))})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "unable")
        record = records.config(content, "unable", "client reason")
        return cls(records.text(record, "client"), records.line(record, "reason", LONGEST_LINE))


def read_answer(content: RecordDict) -> Profile | Unable:
    """Read a client's answer to the roll call."""
    return Unable.read(content) if "unable" in content else Profile.read(content)


def as_line(text: object) -> str:
    """Make text fit to travel as a reason or a note: printable, on one line, cut where it is too long."""
    line = one_line(text)
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 3]}..."


def as_notes(notes: Sequence[str]) -> list[str]:
    """Make notes fit to travel; of too many, the last line says how many are left out."""
    lines = [as_line(note) for note in notes if one_line(note)]
    if len(lines) <= MOST_NOTES:
        return lines
    kept = MOST_NOTES - 1
    return [*lines[:kept], f"{len(lines) - kept} more notes in the log of the client"]


@dataclass(frozen=True)
class Roster:
    """An edge, the clients that registered with it, those that cannot take part, and the events of its own ledger."""

    edge: str
    profiles: list[Profile]
    events: list[Event] = field(default_factory=list)
    unable: list[Unable] = field(default_factory=list)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        roster = {
            "edge": self.edge,
            "profiles": json.dumps([profile.entries() for profile in self.profiles]),
            "events": write_events(self.events),
            "unable": json.dumps([asdict(one) for one in self.unable]),
        }
        return RecordDict({"roster": ConfigRecord(roster)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "roster")
        record = records.config(content, "roster", "edge profiles events unable")
        profiles, unable = (records.json_list(record, key) for key in ("profiles", "unable"))
        return cls(
            records.text(record, "edge"),
            [Profile.read(RecordDict({"profile": records.record(entry)})) for entry in profiles],
            read_events(record),
            [Unable.read(RecordDict({"unable": records.record(entry)})) for entry in unable],
        )

"""What clients and edges tell when they register."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self

from flwr.app import ConfigRecord, RecordDict

from fedphd.common.run.events import Event
from fedphd.common.run.forwarding import write_events
from fedphd.common.wire import records
from fedphd.common.wire.messages.events import read_events
from fedphd.common.wire.records import MessageError


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
        Names of the classes.
    counts : list[float]
        Images of each class, perhaps with privacy noise.
    """

    client: str
    samples: int
    classes: list[str]
    counts: list[float]

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        return RecordDict({"profile": ConfigRecord(asdict(self))})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "profile")
        record = records.config(content, "profile", "client samples classes counts")
        profile = cls(
            records.text(record, "client"),
            records.count(record, "samples"),
            records.names(record, "classes"),
            records.numbers(record, "counts"),
        )
        if not profile.counts or min(profile.counts) < 0 or len(profile.counts) != len(profile.classes):
            raise MessageError("label counts must be given, one for each class, and not be negative")
        return profile


@dataclass(frozen=True)
class Roster:
    """An edge, the clients that registered with it, and the events of its own ledger."""

    edge: str
    profiles: list[Profile]
    events: list[Event] = field(default_factory=list)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        profiles = json.dumps([asdict(profile) for profile in self.profiles])
        roster = {"edge": self.edge, "profiles": profiles, "events": write_events(self.events)}
        return RecordDict({"roster": ConfigRecord(roster)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "roster")
        record = records.config(content, "roster", "edge profiles events")
        entries = records.json_list(record, "profiles")
        return cls(
            records.text(record, "edge"),
            [Profile.read(RecordDict({"profile": records.record(entry)})) for entry in entries],
            read_events(record),
        )

"""Errands, tasks for single clients that the root sends through their edge: a model, or images, of each client's own.

An edge lets all named clients work at once and keeps what each gives; the root then fetches one after the other, so
that nobody ever has what all clients gave in memory.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Self

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedphd.common.run.events import Event
from fedphd.common.run.forwarding import write_events
from fedphd.common.wire import records
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages.events import read_events
from fedphd.common.wire.messages.models import MODEL, NO_PRUNING, STRUCTURE, read_download, write_download
from fedphd.common.wire.messages.updates import read_traffic
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import Traffic

PIXELS, PIXEL_TYPE = "pixels", "fedphd.pixels"


@dataclass(frozen=True)
class Errand:
    """What the root asks of an edge: to let these clients do what the message's type says.

    Attributes
    ----------
    download : Download
        The global model.
    root_round : int
        The round that it belongs to; 0 before the first.
    clients : list[str]
        Who is asked.
    images : int
        Images that each client is to draw.
    pruning : str
        As in `RoundOrder`.
    """

    download: Download
    root_round: int
    clients: list[str]
    images: int = 0
    pruning: str = NO_PRUNING

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        errand = {
            "root-round": self.root_round,
            "clients": self.clients,
            "images": self.images,
            "pruning": self.pruning,
        }
        return RecordDict({**write_download(self.download), "errand": ConfigRecord(errand)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, MODEL, STRUCTURE, "errand")
        record = records.config(content, "errand", "root-round clients images pruning")
        return cls(
            read_download(content),
            records.count(record, "root-round"),
            records.names(record, "clients"),
            records.count(record, "images"),
            records.text(record, "pruning"),
        )


@dataclass(frozen=True)
class ClientErrand:
    """What an edge then asks of a client; attributes as in `Errand` and `TrainOrder`."""

    download: Download
    edge: str
    root_round: int
    edge_round: int
    images: int = 0
    pruning: str = NO_PRUNING

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        errand = {
            "edge": self.edge,
            "root-round": self.root_round,
            "edge-round": self.edge_round,
            "images": self.images,
            "pruning": self.pruning,
        }
        return RecordDict({**write_download(self.download), "errand": ConfigRecord(errand)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, MODEL, STRUCTURE, "errand")
        record = records.config(content, "errand", "edge root-round edge-round images pruning")
        return cls(
            read_download(content),
            records.text(record, "edge"),
            records.count(record, "root-round"),
            records.count(record, "edge-round"),
            records.count(record, "images"),
            records.text(record, "pruning"),
        )


@dataclass(frozen=True)
class Gathered:
    """Which clients gave what they were asked for, and what crossed the hop for it."""

    edge: str
    clients: list[str]
    down: Traffic
    up: Traffic
    events: list[Event] = field(default_factory=list)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        gathered = {
            "edge": self.edge,
            "clients": self.clients,
            "traffic": json.dumps([asdict(self.down), asdict(self.up)]),
            "events": write_events(self.events),
        }
        return RecordDict({"gathered": ConfigRecord(gathered)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "gathered")
        record = records.config(content, "gathered", "edge clients traffic events")
        traffic = [read_traffic(entry) for entry in records.json_list(record, "traffic")]
        if len(traffic) != 2:
            raise MessageError("'traffic' must have an entry for each direction")
        down, up = traffic
        clients = records.names(record, "clients")
        return cls(records.text(record, "edge"), clients, down, up, read_events(record))


@dataclass(frozen=True)
class Fetch:
    """The root's request for what one client gave for an errand; the answer is that client's message as it came."""

    errand: str
    root_round: int
    client: str

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        fetch = {"errand": self.errand, "root-round": self.root_round, "client": self.client}
        return RecordDict({"fetch": ConfigRecord(fetch)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "fetch")
        record = records.config(content, "fetch", "errand root-round client")
        return cls(records.text(record, "errand"), records.count(record, "root-round"), records.text(record, "client"))


@dataclass(frozen=True)
class Drawing:
    """Images that a client's model drew: shape (n, C, H, W), uint8."""

    client: str
    images: NDArray[np.uint8]

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        pixels = Array("uint8", self.images.shape, PIXEL_TYPE, np.ascontiguousarray(self.images).tobytes())
        drawing = ConfigRecord({"client": self.client})
        return RecordDict({PIXELS: ArrayRecord({PIXELS: pixels}), "drawing": drawing})

    @classmethod
    def read(cls, content: RecordDict, shape: tuple[int, ...]) -> Self:
        """Read and check; the images must have the shape (n, C, H, W) that was asked for."""
        records.only(content, PIXELS, "drawing")
        record = records.config(content, "drawing", "client")
        arrays = content.get(PIXELS)
        if not isinstance(arrays, ArrayRecord) or list(arrays) != [PIXELS]:
            raise MessageError(f"no images: an ArrayRecord '{PIXELS}' with one array '{PIXELS}' is needed")
        array = arrays[PIXELS]
        if array.stype != PIXEL_TYPE or tuple(array.shape) != shape or len(array.data) != int(np.prod(shape)):
            raise MessageError(f"the images must be uint8 of shape {shape}")
        return cls(records.text(record, "client"), np.frombuffer(array.data, np.uint8).reshape(shape).copy())

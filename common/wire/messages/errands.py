"""Errands, tasks for single clients that the root sends through their edge.

A client trains a model of its own, draws images, or says how good a model is for its own images.

An edge lets all named clients work at once and keeps what each gives; the root then fetches one after the other, so
that nobody ever has what all clients gave in memory.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Self

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedphd.common.network.lineage import NO_PRUNING, Lineage
from fedphd.common.run.events import Event
from fedphd.common.run.forwarding import write_events
from fedphd.common.wire import records
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages.events import read_events
from fedphd.common.wire.messages.models import MODEL, STRUCTURE, read_download, read_lineage, write_download
from fedphd.common.wire.messages.pixels import PIXELS, read_pixels, write_pixels
from fedphd.common.wire.messages.updates import read_traffic
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import Traffic


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
        Images that each client is to draw, or to compare with its own.
    lineage : Lineage
        As in `RoundOrder`.
    generated : NDArray[uint8] or None
        These images, shape (n, C, H, W), where the root drew them.
    """

    download: Download
    root_round: int
    clients: list[str]
    images: int = 0
    lineage: Lineage = NO_PRUNING
    generated: NDArray[np.uint8] | None = None

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic."""
        return (self.download.model,)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        return _write(self, {"root-round": self.root_round, "clients": self.clients})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        record = _record(content, "root-round clients")
        root_round, clients = records.count(record, "root-round"), records.names(record, "clients")
        images, lineage = records.count(record, "images"), read_lineage(record)
        return cls(read_download(content), root_round, clients, images, lineage, _generated(content, images))


@dataclass(frozen=True)
class ClientErrand:
    """What an edge then asks of a client; attributes as in `Errand` and `TrainOrder`."""

    download: Download
    edge: str
    root_round: int
    edge_round: int
    images: int = 0
    lineage: Lineage = NO_PRUNING
    generated: NDArray[np.uint8] | None = None

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic."""
        return (self.download.model,)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        return _write(self, {"edge": self.edge, "root-round": self.root_round, "edge-round": self.edge_round})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        record = _record(content, "edge root-round edge-round")
        return cls(
            read_download(content),
            records.text(record, "edge"),
            records.count(record, "root-round"),
            records.count(record, "edge-round"),
            images := records.count(record, "images"),
            read_lineage(record),
            _generated(content, images),
        )


def _write(errand: Errand | ClientErrand, own: dict[str, int | str | list[str]]) -> RecordDict:
    """Lay out an errand: what is its own, and what all errands have."""
    facts = {**own, "images": errand.images, "pruning": errand.lineage.to_json()}
    pixels = {} if errand.generated is None else write_pixels(errand.generated)
    return RecordDict({**write_download(errand.download), **pixels, "errand": ConfigRecord(facts)})


def _record(content: RecordDict, own: str) -> ConfigRecord:
    """Give the record of what an errand says; `own` are the entries that not all errands have."""
    records.only(content, MODEL, STRUCTURE, PIXELS, "errand")
    return records.config(content, "errand", f"{own} images pruning")


def _generated(content: RecordDict, images: int) -> NDArray[np.uint8] | None:
    if PIXELS not in content:
        return None
    generated = read_pixels(content)
    if len(generated) != images:
        raise MessageError(f"{len(generated)} generated images instead of {images}")
    return generated


@dataclass(frozen=True)
class Gathered:
    """Which clients gave what they were asked for, and what crossed the hop for it."""

    edge: str
    clients: list[str]
    down: Traffic
    up: Traffic
    events: list[Event] = field(default_factory=list)

    @property
    def sender(self) -> str:
        """Who gathered."""
        return self.edge

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

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic: nothing."""
        return ()

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

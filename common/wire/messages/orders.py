"""What the root asks of an edge in a root round, and an edge of a client in an edge round."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from reprlib import repr as shortened
from typing import Self

from flwr.app import ConfigRecord, RecordDict

from fedphd.common.network.lineage import NO_PRUNING, Lineage
from fedphd.common.network.structure import Structure
from fedphd.common.wire import records
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages.models import (
    CONTROL,
    MODEL,
    STRUCTURE,
    read_control,
    read_download,
    read_lineage,
    read_parts,
    write_control,
    write_download,
)
from fedphd.common.wire.parts import Parts, restrict
from fedphd.common.wire.records import MessageError


@dataclass(frozen=True)
class RoundOrder:
    """What the root asks of an edge in one root round.

    Attributes
    ----------
    download : Download
        The global model.
    root_round : int
        From 1.
    first_edge_round : int
        Number of edge rounds before this root round, in the whole run.
    assignment : list[list[str]]
        For each edge round the ids of the clients that train at this edge.
    sparse : bool
        Whether terms of the objective count that are for sparse rounds only.
    lineage : Lineage
        How the network came to its structure, for those who keep states of the one before.
    control : CodedModel or None
        SCAFFOLD's c, of the tensors that the exchange shares.
    final : list[list[str]]
        For each edge round the clients that train for the last time in this root round: whose change of control
        variates counts.
    counted : Mapping[str, int]
        For clients whose change of control variates counted, the number of edge rounds up to the last such one.
    """

    download: Download
    root_round: int
    first_edge_round: int
    assignment: list[list[str]]
    sparse: bool
    lineage: Lineage = NO_PRUNING
    control: CodedModel | None = None
    final: list[list[str]] | None = None
    counted: Mapping[str, int] = field(default_factory=dict)

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic."""
        return self.download.model, self.control

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        order = {
            "root-round": self.root_round,
            "first-edge-round": self.first_edge_round,
            "assignment": json.dumps(self.assignment),
            "final": json.dumps(self.final or []),
            "counted": json.dumps(dict(self.counted)),
            "sparse": self.sparse,
            "pruning": self.lineage.to_json(),
        }
        return RecordDict(
            {**write_download(self.download), **write_control(self.control), "order": ConfigRecord(order)}
        )

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, MODEL, STRUCTURE, CONTROL, "order")
        entries = "root-round first-edge-round assignment final counted sparse pruning"
        record = records.config(content, "order", entries)
        download = read_download(content)
        assignment, final = _rounds(record, "assignment"), _rounds(record, "final")
        if final and len(final) != len(assignment):
            raise MessageError(f"'final' has {len(final)} edge rounds, 'assignment' {len(assignment)}")
        return cls(
            download=download,
            root_round=records.count(record, "root-round"),
            first_edge_round=records.count(record, "first-edge-round"),
            assignment=assignment,
            sparse=records.flag(record, "sparse"),
            lineage=read_lineage(record),
            control=read_control(content, restrict(download.structure, download.shared)),
            final=final or None,
            counted=records.counts(record, "counted"),
        )


@dataclass(frozen=True)
class TrainOrder:
    """What an edge asks of a client in one edge round.

    Attributes
    ----------
    download : Download
        The edge's model.
    edge : str
        Who asks.
    root_round, edge_round : int
        The edge round counts from 0 over the whole run.
    sparse : bool
        As in `RoundOrder`.
    reports : tuple[str, ...]
        The parts that the client reports.
    lineage : Lineage
        As in `RoundOrder`.
    control : CodedModel or None
        SCAFFOLD's c.
    final : bool
        Whether the client's change of control variates counts.
    counted : int
        Edge rounds up to the last one whose change of this client's control variates is in c; 0: none is.
    """

    download: Download
    edge: str
    root_round: int
    edge_round: int
    sparse: bool
    reports: Parts
    lineage: Lineage = NO_PRUNING
    control: CodedModel | None = None
    final: bool = True
    counted: int = 0

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic."""
        return self.download.model, self.control

    @property
    def answer(self) -> Structure:
        """Structure of the model that is to be reported."""
        return restrict(self.download.structure, self.reports)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        order = {
            "edge": self.edge,
            "root-round": self.root_round,
            "edge-round": self.edge_round,
            "sparse": self.sparse,
            "reports": list(self.reports),
            "pruning": self.lineage.to_json(),
            "final": self.final,
            "counted": self.counted,
        }
        return RecordDict(
            {**write_download(self.download), **write_control(self.control), "order": ConfigRecord(order)}
        )

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, MODEL, STRUCTURE, CONTROL, "order")
        entries = "edge root-round edge-round sparse reports pruning final counted"
        record = records.config(content, "order", entries)
        download, reports = read_download(content), read_parts(record, "reports")
        if not set(reports) <= set(download.shared):
            raise MessageError(f"'reports' must be some of the shared parts, not {shortened(reports)}")
        return cls(
            download=download,
            edge=records.text(record, "edge"),
            root_round=records.count(record, "root-round"),
            edge_round=records.count(record, "edge-round"),
            sparse=records.flag(record, "sparse"),
            reports=reports,
            lineage=read_lineage(record),
            control=read_control(content, restrict(download.structure, download.shared)),
            final=records.flag(record, "final"),
            counted=records.count(record, "counted"),
        )


def _rounds(record: ConfigRecord, key: str) -> list[list[str]]:
    return [records.names(records.record({key: one}), key) for one in records.json_list(record, key)]

"""The layout of messages on the wire. No other module knows the names of records and keys.

Six messages cross the two hops; each is a dataclass with `write()` to a Flower `RecordDict` and
`read()` from one. Reading trusts nothing: what is missing, unknown, of the wrong type, too large, not
finite or of another structure raises `MessageError`, whose text is the reason that the ledger shows.

================  =================  ==========================================================
message           from -> to         content
================  =================  ==========================================================
`Profile`         client -> edge     id, images, label counts (the answer to ``query.register``)
`Roster`          edge -> root       edge id and its clients' profiles (answer to the same query)
`RoundOrder`      root -> edge       global model, who trains in which edge round, phase
`TrainOrder`      edge -> client     edge model, rounds, phase
`ClientUpdate`    client -> edge     trained model, images, loss, steps, seconds
`EdgeUpdate`      edge -> root       edge model and what happened in each edge round
================  =================  ==========================================================

A model is one flat float32 array and its structure (common/packing.py).
"""

import json
from dataclasses import asdict, dataclass, field
from reprlib import repr as shortened
from typing import Self

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from common import records
from common.events import read_events, write_events
from common.ledger import Entry
from common.packing import PackedModel
from common.records import MessageError
from common.structure import Structure

REGISTER = "query.register"
TRAIN = "train"
END = "query.end"  # the root tells its edges that the run is over

ModelRecords = dict[str, ArrayRecord | ConfigRecord]


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
    events: list[Entry] = field(default_factory=list)

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
            _read_events(record),
        )


@dataclass(frozen=True)
class RoundOrder:
    """What the root asks of an edge in one root round.

    Attributes
    ----------
    model : PackedModel
        The global model.
    root_round : int
        From 1.
    first_edge_round : int
        Number of edge rounds before this root round, in the whole run.
    assignment : list[list[str]]
        For each edge round the ids of the clients that train at this edge.
    sparse : bool
        Whether the clients add the sparsity penalty.
    """

    model: PackedModel
    root_round: int
    first_edge_round: int
    assignment: list[list[str]]
    sparse: bool

    def write(self, encoded: ModelRecords | None = None) -> RecordDict:
        """Lay out for the wire; `encoded` spares encoding a model again that several edges get."""
        order = {
            "root-round": self.root_round,
            "first-edge-round": self.first_edge_round,
            "assignment": json.dumps(self.assignment),
            "sparse": self.sparse,
        }
        return RecordDict({**(encoded or encode_model(self.model)), "order": ConfigRecord(order)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "model", "structure", "order")
        record = records.config(content, "order", "root-round first-edge-round assignment sparse")
        return cls(
            model=_read_model(content, None),
            root_round=records.count(record, "root-round"),
            first_edge_round=records.count(record, "first-edge-round"),
            assignment=[
                records.names(records.record({"assignment": one}), "assignment")
                for one in records.json_list(record, "assignment")
            ],
            sparse=records.flag(record, "sparse"),
        )


@dataclass(frozen=True)
class TrainOrder:
    """What an edge asks of a client in one edge round; `edge_round` counts from 0 over the whole run."""

    model: PackedModel
    root_round: int
    edge_round: int
    sparse: bool

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        order = {"root-round": self.root_round, "edge-round": self.edge_round, "sparse": self.sparse}
        return RecordDict({**encode_model(self.model), "order": ConfigRecord(order)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "model", "structure", "order")
        record = records.config(content, "order", "root-round edge-round sparse")
        return cls(
            _read_model(content, None),
            records.count(record, "root-round"),
            records.count(record, "edge-round"),
            records.flag(record, "sparse"),
        )


@dataclass(frozen=True)
class ClientUpdate:
    """What a client reports after an edge round.

    Attributes
    ----------
    model : PackedModel
        The trained model.
    client, edge_round : str, int
        Who trained, and for which edge round.
    samples : int
        n_k: images that it trained on.
    loss : float
        Mean objective per image over the round.
    steps : int
        Optimizer steps.
    seconds : float
        Wall time of the training.
    """

    model: PackedModel
    client: str
    edge_round: int
    samples: int
    loss: float
    steps: int
    seconds: float

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        report = {
            "client": self.client,
            "edge-round": self.edge_round,
            "samples": self.samples,
            "loss": self.loss,
            "steps": self.steps,
            "seconds": self.seconds,
        }
        return RecordDict({**encode_model(self.model), "report": ConfigRecord(report)})

    @classmethod
    def read(cls, content: RecordDict, expected: Structure) -> Self:
        """Read and check; the model must have the expected structure."""
        records.only(content, "model", "structure", "report")
        record = records.config(content, "report", "client edge-round samples loss steps seconds")
        return cls(
            model=_read_model(content, expected),
            client=records.text(record, "client"),
            edge_round=records.count(record, "edge-round"),
            samples=records.count(record, "samples"),
            loss=records.number(record, "loss"),
            steps=records.count(record, "steps"),
            seconds=records.number(record, "seconds"),
        )


@dataclass(frozen=True)
class EdgeRound:
    """What happened in one edge round: clients that counted, their images, mean loss, wall time."""

    clients: list[str]
    samples: int
    loss: float | None
    seconds: float
    down_bytes: int = 0
    up_bytes: int = 0

    @classmethod
    def read(cls, entry: object) -> Self:
        """Read and check one entry of the JSON list in which edge rounds travel."""
        record = records.record(entry)
        loss = records.number(record, "loss") if "loss" in record else None
        counts = {key: records.count(record, key) for key in ("samples", "down_bytes", "up_bytes")}
        one = cls(records.names(record, "clients"), loss=loss, seconds=records.number(record, "seconds"), **counts)
        if not set(record) <= set(asdict(one)) or (loss is None) != (one.samples == 0):
            raise MessageError("'rounds' has an edge round with unknown entries, or with images and no loss")
        return one


@dataclass(frozen=True)
class EdgeUpdate:
    """What an edge reports after a root round.

    Attributes
    ----------
    model : PackedModel
        The edge's model.
    edge, root_round : str, int
        Who reports, and for which root round.
    q : list[float]
        q_e: label distribution of all images trained on in the root round.
    rounds : list[EdgeRound]
        One entry for each edge round.
    events : list[Entry]
        Events of the edge's own ledger, where it has one.
    """

    model: PackedModel
    edge: str
    root_round: int
    q: list[float]
    rounds: list[EdgeRound] = field(default_factory=list)
    events: list[Entry] = field(default_factory=list)

    @property
    def latest_samples(self) -> int:
        """m_e: images trained on in the latest edge round."""
        return self.rounds[-1].samples if self.rounds else 0

    @property
    def samples(self) -> int:
        """Images trained on in the whole root round, those of one client once for each edge round."""
        return sum(one.samples for one in self.rounds)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        report = {
            "edge": self.edge,
            "root-round": self.root_round,
            "q": self.q,
            "rounds": json.dumps([asdict(one) for one in self.rounds]),
            "events": write_events(self.events),
        }
        return RecordDict({**encode_model(self.model), "report": ConfigRecord(report)})

    @classmethod
    def read(cls, content: RecordDict, expected: Structure) -> Self:
        """Read and check; the model must have the expected structure."""
        records.only(content, "model", "structure", "report")
        record = records.config(content, "report", "edge root-round q rounds events")
        q = records.numbers(record, "q")
        if min(q, default=-1.0) < 0 or abs(sum(q) - 1) > 1e-6:
            raise MessageError(f"'q' must be fractions that sum to one, not {shortened(q)}")
        return cls(
            _read_model(content, expected),
            records.text(record, "edge"),
            records.count(record, "root-round"),
            q,
            [EdgeRound.read(entry) for entry in records.json_list(record, "rounds")],
            _read_events(record),
        )


def content_bytes(content: RecordDict) -> int:
    """Bytes of all records of a message as they are encoded, without Flower's framing."""
    return sum(record.count_bytes() for record in content.values())


# --- the parts that messages share ----------------------------------------------------------------


def encode_model(model: PackedModel) -> ModelRecords:
    """Lay out a model for the wire."""
    structure = ConfigRecord({"id": model.structure.id, "tensors": model.structure.to_json()})
    return {"model": ArrayRecord({"vector": Array(model.vector)}), "structure": structure}


def _read_model(content: RecordDict, expected: Structure | None) -> PackedModel:
    record = records.config(content, "structure", "id tensors")
    identity = records.text(record, "id")
    if expected is not None and identity != expected.id:
        raise MessageError(f"structure {shortened(identity)} instead of '{expected.id}'")
    tensors = records.text(record, "tensors")
    structure = expected or _structure(tensors, identity)
    arrays = content.get("model")
    if not isinstance(arrays, ArrayRecord) or list(arrays) != ["vector"]:
        raise MessageError("no model: an ArrayRecord 'model' with one array 'vector' is needed")
    return PackedModel(structure, records.vector(arrays["vector"], structure.size))


def _read_events(record: ConfigRecord) -> list[Entry]:
    try:
        return read_events(records.text(record, "events"))
    except ValueError as error:
        raise MessageError(str(error)) from None


def _structure(text: str, identity: str) -> Structure:
    try:
        structure = Structure.from_json(text)
    except ValueError as error:
        raise MessageError(str(error)) from None
    if structure.id != identity:
        raise MessageError(f"structure id {shortened(identity)} does not fit the tensors, whose id is '{structure.id}'")
    return structure

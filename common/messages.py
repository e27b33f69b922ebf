"""The layout of messages on the wire. No other module knows the names of records and keys.

Four messages cross the two hops; each is a dataclass with `write()` to a Flower `RecordDict` and
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
from io import BytesIO
from reprlib import repr as shortened
from typing import Any, Self

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from common.packing import PackedModel, Vector
from common.structure import Structure

REGISTER = "query.register"
TRAIN = "train"

NPY_HEADER_BYTES = 1024  # more than any header that NumPy writes for a flat array
LARGEST_COUNT = 2**53  # whole numbers up to this one are exact as floats
LARGEST_NUMBER = float(np.finfo(np.float32).max)  # so that sums of numbers stay finite


class MessageError(ValueError):
    """A message that must not be used; the text says why."""


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
        _only(content, "profile")
        record = _config(content, "profile", "client samples classes counts")
        profile = cls(
            _text(record, "client"), _count(record, "samples"), _names(record, "classes"), _numbers(record, "counts")
        )
        if not profile.counts or min(profile.counts) < 0 or len(profile.counts) != len(profile.classes):
            raise MessageError("label counts must be given, one for each class, and not be negative")
        return profile


@dataclass(frozen=True)
class Roster:
    """An edge and the clients that registered with it."""

    edge: str
    profiles: list[Profile]

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        profiles = json.dumps([asdict(profile) for profile in self.profiles])
        return RecordDict({"roster": ConfigRecord({"edge": self.edge, "profiles": profiles})})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        _only(content, "roster")
        record = _config(content, "roster", "edge profiles")
        entries = _json(record, "profiles")
        return cls(_text(record, "edge"), [Profile.read(RecordDict({"profile": _record(entry)})) for entry in entries])


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

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        order = {
            "root-round": self.root_round,
            "first-edge-round": self.first_edge_round,
            "assignment": json.dumps(self.assignment),
            "sparse": self.sparse,
        }
        return RecordDict({**_model_records(self.model), "order": ConfigRecord(order)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        _only(content, "model", "structure", "order")
        record = _config(content, "order", "root-round first-edge-round assignment sparse")
        return cls(
            model=_read_model(content, None),
            root_round=_count(record, "root-round"),
            first_edge_round=_count(record, "first-edge-round"),
            assignment=[_names(_record({"assignment": one}), "assignment") for one in _json(record, "assignment")],
            sparse=_flag(record, "sparse"),
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
        return RecordDict({**_model_records(self.model), "order": ConfigRecord(order)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        _only(content, "model", "structure", "order")
        record = _config(content, "order", "root-round edge-round sparse")
        return cls(
            _read_model(content, None),
            _count(record, "root-round"),
            _count(record, "edge-round"),
            _flag(record, "sparse"),
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
        return RecordDict({**_model_records(self.model), "report": ConfigRecord(report)})

    @classmethod
    def read(cls, content: RecordDict, expected: Structure) -> Self:
        """Read and check; the model must have the expected structure."""
        _only(content, "model", "structure", "report")
        record = _config(content, "report", "client edge-round samples loss steps seconds")
        return cls(
            model=_read_model(content, expected),
            client=_text(record, "client"),
            edge_round=_count(record, "edge-round"),
            samples=_count(record, "samples"),
            loss=_number(record, "loss"),
            steps=_count(record, "steps"),
            seconds=_number(record, "seconds"),
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
        record = _record(entry)
        loss = _number(record, "loss") if "loss" in record else None
        counts = {key: _count(record, key) for key in ("samples", "down_bytes", "up_bytes")}
        one = cls(_names(record, "clients"), loss=loss, seconds=_number(record, "seconds"), **counts)
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
    """

    model: PackedModel
    edge: str
    root_round: int
    q: list[float]
    rounds: list[EdgeRound] = field(default_factory=list)

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
        }
        return RecordDict({**_model_records(self.model), "report": ConfigRecord(report)})

    @classmethod
    def read(cls, content: RecordDict, expected: Structure) -> Self:
        """Read and check; the model must have the expected structure."""
        _only(content, "model", "structure", "report")
        record = _config(content, "report", "edge root-round q rounds")
        q = _numbers(record, "q")
        if min(q, default=-1.0) < 0 or abs(sum(q) - 1) > 1e-6:
            raise MessageError(f"'q' must be fractions that sum to one, not {shortened(q)}")
        return cls(
            _read_model(content, expected),
            _text(record, "edge"),
            _count(record, "root-round"),
            q,
            [EdgeRound.read(entry) for entry in _json(record, "rounds")],
        )


def content_bytes(content: RecordDict) -> int:
    """Bytes of all records of a message as they are encoded, without Flower's framing."""
    return sum(record.count_bytes() for record in content.values())


# --- the parts that messages share ----------------------------------------------------------------


def _model_records(model: PackedModel) -> dict[str, ArrayRecord | ConfigRecord]:
    structure = ConfigRecord({"id": model.structure.id, "tensors": model.structure.to_json()})
    return {"model": ArrayRecord({"vector": Array(model.vector)}), "structure": structure}


def _read_model(content: RecordDict, expected: Structure | None) -> PackedModel:
    record = _config(content, "structure", "id tensors")
    identity = _text(record, "id")
    if expected is not None and identity != expected.id:
        raise MessageError(f"structure {shortened(identity)} instead of '{expected.id}'")
    tensors = _text(record, "tensors")
    structure = expected or _structure(tensors, identity)
    arrays = content.get("model")
    if not isinstance(arrays, ArrayRecord) or list(arrays) != ["vector"]:
        raise MessageError("no model: an ArrayRecord 'model' with one array 'vector' is needed")
    return PackedModel(structure, _vector(arrays["vector"], structure.size))


def _structure(text: str, identity: str) -> Structure:
    try:
        structure = Structure.from_json(text)
    except ValueError as error:
        raise MessageError(str(error)) from None
    if structure.id != identity:
        raise MessageError(f"structure id {shortened(identity)} does not fit the tensors, whose id is '{structure.id}'")
    return structure


def _vector(array: Array, size: int) -> Vector:
    if (array.dtype, tuple(array.shape)) != ("float32", (size,)):
        raise MessageError(f"model is {_described(array.dtype, array.shape)} instead of float32({size},)")
    if len(array.data) > 4 * size + NPY_HEADER_BYTES:
        raise MessageError(f"model has {len(array.data)} bytes, more than {size} float32 numbers take")
    stream = BytesIO(array.data)
    # Not `array.numpy()`: NumPy also takes archives, and makes room for what the header says before it looks further.
    try:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # whatever NumPy's parser of a Python literal may raise
        raise MessageError(f"model cannot be decoded: {type(error).__name__}") from None
    if (dtype, shape) != (np.dtype("<f4"), (size,)) or len(array.data) != stream.tell() + 4 * size:
        raise MessageError(f"model decodes to {_described(dtype, shape)} instead of float32({size},)")
    vector: Vector = np.frombuffer(array.data, np.dtype("<f4"), offset=stream.tell())
    if not np.isfinite(vector).all():
        raise MessageError("model has numbers that are not finite")
    return vector


def _described(dtype: object, shape: object) -> str:
    return shortened(str(dtype)).strip("'") + shortened(shape)


def _only(content: RecordDict, *names: str) -> None:
    if not set(content) <= set(names):
        raise MessageError(f"unknown records: {shortened(sorted(set(content) - set(names)))}")


def _config(content: RecordDict, name: str, entries: str) -> ConfigRecord:
    record = content.get(name)
    if not isinstance(record, ConfigRecord):
        raise MessageError(f"no ConfigRecord '{name}'")
    if set(record) != set(entries.split()):
        raise MessageError(f"'{name}' must have the entries {entries}, not {shortened(sorted(record))}")
    return record


def _record(entry: object) -> ConfigRecord:
    """Make a record of a JSON object; null counts as missing."""
    if not isinstance(entry, dict):
        raise MessageError(f"not a record: {shortened(entry)}")
    try:
        return ConfigRecord({key: value for key, value in entry.items() if value is not None})
    except TypeError as error:
        raise MessageError(f"not a record: {error}") from None


def _text(record: ConfigRecord, key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise MessageError(f"'{key}' must be text, not {shortened(value)}")
    return value


def _flag(record: ConfigRecord, key: str) -> bool:
    value = record.get(key)
    if not isinstance(value, bool):
        raise MessageError(f"'{key}' must be true or false, not {shortened(value)}")
    return value


def _names(record: ConfigRecord, key: str) -> list[str]:
    values = record.get(key)
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise MessageError(f"'{key}' must be a list of names, not {shortened(values)}")
    if len(set(values)) < len(values):
        raise MessageError(f"'{key}' has a name twice: {shortened(values)}")
    return values


def _count(record: ConfigRecord, key: str) -> int:
    value = record.get(key)
    if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
        raise MessageError(f"'{key}' must be a whole number of at least 0, not {shortened(value)}")
    return value


def _number(record: ConfigRecord, key: str) -> float:
    value = record.get(key)
    if not _is_number(value):
        raise MessageError(f"'{key}' must be a finite number, not {shortened(value)}")
    return float(value)


def _numbers(record: ConfigRecord, key: str) -> list[float]:
    values = record.get(key)
    if not isinstance(values, list) or not all(_is_number(value) for value in values):
        raise MessageError(f"'{key}' must be a list of finite numbers, not {shortened(values)}")
    return [float(value) for value in values]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _json(record: ConfigRecord, key: str) -> list[Any]:
    try:
        value = json.loads(_text(record, key))
    except (ValueError, RecursionError) as error:
        raise MessageError(f"'{key}' is not JSON: {error}") from None
    if not isinstance(value, list):
        raise MessageError(f"'{key}' must be a JSON list")
    return value

"""How models are laid out in records: one array of coded numbers, and the structure that tells what they are."""

from reprlib import repr as shortened
from weakref import WeakKeyDictionary

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from fedphd.common.network.lineage import Lineage
from fedphd.common.network.structure import Structure
from fedphd.common.wire import records
from fedphd.common.wire.codec import CodecError, read_stype
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.links import Download
from fedphd.common.wire.parts import PARTS, Parts, restrict
from fedphd.common.wire.records import MessageError

WEIGHTS, CHANGE = "weights", "change"  # key of the array: what its numbers are
MODEL, CONTROL, STRUCTURE = "model", "control", "structure"  # names of records
NO_BASE = -1

Records = dict[str, ArrayRecord | ConfigRecord]

_written: WeakKeyDictionary[Download, Records] = WeakKeyDictionary()


def content_bytes(content: RecordDict) -> int:
    """Bytes of all records of a message as they are encoded, without Flower's framing."""
    return sum(record.count_bytes() for record in content.values())


def write_download(download: Download) -> Records:
    """Lay out a model on its way down; the records are made once for all messages that carry it."""
    if download not in _written:
        facts = {
            "id": download.structure.id,
            "tensors": download.structure.to_json(),
            "parts": list(download.parts),
            "shared": list(download.shared),
            "base": NO_BASE if download.base is None else download.base,
        }
        _written[download] = {MODEL: _array(download.model), STRUCTURE: ConfigRecord(facts)}
    return _written[download]


def read_download(content: RecordDict) -> Download:
    """Read and check a model on its way down.

    Raises
    ------
    MessageError
        If records are missing or contradict each other. The numbers are checked when they are decoded.
    """
    record = records.config(content, STRUCTURE, "id tensors parts shared base")
    structure = _structure(records.text(record, "tensors"), records.text(record, "id"))
    parts, shared = read_parts(record, "parts"), read_parts(record, "shared")
    try:
        sent, _ = restrict(structure, parts), restrict(structure, shared)  # names may not tell the parts of either
    except ValueError as error:
        raise MessageError(str(error)) from None
    base = record["base"]
    if type(base) is not int or base < NO_BASE:
        raise MessageError(f"'base' must be a round, or {NO_BASE}, not {shortened(base)}")
    model = read_model(content, MODEL, sent)
    if parts not in (PARTS, shared) or (model.change and parts != shared):
        raise MessageError("all parts, or those that are shared, must come; a change is of the shared ones")
    if model.change != (base != NO_BASE):
        raise MessageError("a change needs a base, and weights have none")
    return Download(model, structure, parts, shared, None if base == NO_BASE else base)


def write_upload(model: CodedModel, control: CodedModel | None = None) -> Records:
    """Lay out a model on its way up, and perhaps a change of control variates of the same tensors."""
    written: Records = {MODEL: _array(model), STRUCTURE: ConfigRecord({"id": model.structure.id})}
    return written | write_control(control)


def read_upload(content: RecordDict, expected: Structure) -> tuple[CodedModel, CodedModel | None]:
    """Read and check what `write_upload` wrote; it must have the expected structure."""
    identity = records.text(records.config(content, STRUCTURE, "id"), "id")
    if identity != expected.id:
        raise MessageError(f"structure {shortened(identity)} instead of '{expected.id}'")
    return read_model(content, MODEL, expected), read_control(content, expected)


def write_control(control: CodedModel | None) -> Records:
    """Lay out control variates, if there are any."""
    return {} if control is None else {CONTROL: _array(control)}


def read_lineage(record: ConfigRecord) -> Lineage:
    """Read how the network came to its structure; orders and errands have it as the entry ``pruning``."""
    try:
        return Lineage.from_json(records.text(record, "pruning"))
    except ValueError as error:
        raise MessageError(str(error)) from None


def read_parts(record: ConfigRecord, key: str) -> Parts:
    """Read the names of some parts of a network, in their order."""
    parts = tuple(records.names(record, key))
    if not parts or [part for part in PARTS if part in parts] != list(parts):
        raise MessageError(f"'{key}' must be some of {', '.join(PARTS)}, in this order, not {shortened(parts)}")
    return parts


def read_control(content: RecordDict, expected: Structure) -> CodedModel | None:
    """Read control variates of the expected structure; None if there are none."""
    return read_model(content, CONTROL, expected) if CONTROL in content else None


def read_model(content: RecordDict, name: str, structure: Structure) -> CodedModel:
    """Read coded numbers of a known structure; nothing is decoded yet."""
    arrays = content.get(name)
    if not isinstance(arrays, ArrayRecord) or list(arrays) not in ([WEIGHTS], [CHANGE]):
        raise MessageError(f"no model: an ArrayRecord '{name}' with one array '{WEIGHTS}' or '{CHANGE}' is needed")
    ((what, array),) = arrays.items()
    try:
        kind, compressed = read_stype(array.stype)
    except CodecError as error:
        raise MessageError(str(error)) from None
    return CodedModel(structure, kind, 1 if compressed else None, what == CHANGE, array.data)


def _array(model: CodedModel) -> ArrayRecord:
    array = Array(model.kind, (model.structure.size,), model.stype, model.data)
    return ArrayRecord({CHANGE if model.change else WEIGHTS: array})


def _structure(text: str, identity: str) -> Structure:
    try:
        structure = Structure.from_json(text)
    except ValueError as error:
        raise MessageError(str(error)) from None
    if structure.id != identity:
        raise MessageError(f"structure id {shortened(identity)} does not fit the tensors, whose id is '{structure.id}'")
    return structure

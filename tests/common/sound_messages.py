"""One sound message of each kind, in full, and how to read, compare and spoil them."""

from copy import deepcopy
from dataclasses import asdict, fields, is_dataclass, replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from helpers import exact, profile, three_parts

from fedphd.common.network.lineage import NO_PRUNING
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.run.events import Lost
from fedphd.common.wire.codec import CODECS
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages import (
    ClientErrand,
    ClientUpdate,
    Drawing,
    EdgeRound,
    EdgeUpdate,
    Errand,
    Fetch,
    Gathered,
    Roster,
    RoundOrder,
    TrainOrder,
    Unable,
)
from fedphd.common.wire.parts import BOTTLENECK, DECODER, PARTS, restrict
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import Traffic

MODEL = three_parts([1.0], [-2.0], [3.5, 4.0])
SHARED = (BOTTLENECK, DECODER)
EXPECTED = restrict(MODEL.structure, SHARED)  # of what comes up
IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 1, 3, 4)


def change(numbers: PackedModel) -> CodedModel:
    """Code numbers as a change, compressed."""
    zeros = PackedModel(numbers.structure, np.zeros_like(numbers.vector))
    return code(numbers, CODECS.read({"kind": "int8", "of": "change", "error_feedback": False, "zstd": 1}), zeros)


SOME = MODEL.select(EXPECTED)
WHOLE = Download(exact(MODEL), MODEL.structure, PARTS, SHARED)
PARTIAL = Download(change(SOME), MODEL.structure, SHARED, SHARED, base=4)
PROFILE = replace(profile(0, [3.0, 7.0]), notes=["12 hidden files left out", "images of 12 bits"])
UNABLE = Unable("client-2", "data.path=DATA-PATH/a/7.png: cannot be read")
EVENTS = [Lost(time=1.5, round=3, peer="client-0", reason="why")]
ROUNDS = [EdgeRound(["client-0"], 10, 0.5, 1.5, Traffic(1, 4, 16), Traffic(1, 3, 12)), EdgeRound([], 0, None, 0.0)]
ASSIGNMENT = [["client-0", "client-1"], []]
SOUND = {
    "profile": PROFILE,
    "unable": UNABLE,
    "roster": Roster("edge-0", [PROFILE, profile(1, [1.5, 0.0])], EVENTS, [UNABLE]),
    "round order": RoundOrder(
        WHOLE, 3, 4, ASSIGNMENT, True, NO_PRUNING, exact(SOME), [["client-1"], ["client-0"]], {"client-0": 3}
    ),
    "train order": TrainOrder(PARTIAL, "edge-0", 3, 5, False, (DECODER,), NO_PRUNING, exact(SOME), True, 3),
    "client update": ClientUpdate(change(SOME), "client-0", 5, 10, 0.25, 1.5, exact(SOME)),
    "edge update": EdgeUpdate(exact(SOME), "edge-0", 3, [0.25, 0.75], ROUNDS, EVENTS, exact(SOME)),
    "errand": Errand(WHOLE, 3, ["client-0", "client-1"], 20),
    "client errand": ClientErrand(PARTIAL, "edge-0", 4, 6, 20),
    "gathered": Gathered("edge-0", ["client-0"], Traffic(2, 8, 32), Traffic(1, 0, 24), EVENTS),
    "fetch": Fetch("train.local", 3, "client-0"),
    "drawing": Drawing("client-0", IMAGES, True),
}
DOWN = ["round order", "train order", "errand", "client errand"]  # bring a model down
UP = ["client update", "edge update"]
ENTRIES = [
    (kind, name, key)
    for kind, message in SOUND.items()
    for name, record in message.write().items()
    if isinstance(record, ConfigRecord)
    for key in record
]


def written(kind: str) -> RecordDict:
    """Write a sound message, to be spoilt: the records of a model are otherwise those of all messages with it."""
    return deepcopy(SOUND[kind].write())


def read(kind: str, content: RecordDict, expected: Structure = EXPECTED) -> object:
    """Read a message as its receiver does."""
    message = type(SOUND[kind])
    if kind in UP:
        return message.read(content, expected)
    return message.read(content, IMAGES.shape) if kind == "drawing" else message.read(content)


def refused(kind: str, content: RecordDict) -> str:
    """Read what must be refused, and return the reason."""
    with pytest.raises(MessageError) as caught:
        read(kind, content)
    return str(caught.value)


def with_entry(kind: str, name: str, key: str, value: object) -> RecordDict:
    """Replace an entry of a sound message."""
    content = written(kind)
    content[name][key] = value
    return content


def with_array(kind: str, array: Array, record: str = "model", key: str = "weights") -> RecordDict:
    """Replace the array of a sound message's record."""
    content = written(kind)
    content[record] = ArrayRecord({key: array})
    return content


def raw(data: bytes, stype: str = "fedphd.float32", dtype: str = "float32", shape: tuple[int, ...] = (3,)) -> Array:
    """Make an array that says one thing and may hold another."""
    return Array(dtype, shape, stype, data)


def facts(message: object) -> dict[str, object]:
    """Give all of a message but the numbers of models and images."""
    return {
        one.name: asdict(value) if is_dataclass(value) else value
        for one in fields(message)
        for value in [getattr(message, one.name)]
        if not isinstance(value, Download | CodedModel | np.ndarray)
    }


def same(a: object, b: object) -> bool:
    """Compare messages, numbers and all."""
    return facts(a) == facts(b) and [_numbers(a), type(a)] == [_numbers(b), type(b)]


def _numbers(message: object) -> list[object]:
    values = [getattr(message, one.name) for one in fields(message)]
    return [
        vars(value) if isinstance(value, Download) else value.tobytes() if isinstance(value, np.ndarray) else value
        for value in values
        if isinstance(value, Download | CodedModel | np.ndarray)
    ]

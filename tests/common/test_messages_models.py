"""Models in messages: what is read says what they are, and only decoding looks at the numbers."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord
from helpers import download
from sound_messages import (
    DOWN,
    EXPECTED,
    MODEL,
    SHARED,
    SOME,
    SOUND,
    UP,
    WHOLE,
    raw,
    read,
    refused,
    same,
    with_array,
    written,
)

from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import CODECS, CodecError
from fedphd.common.wire.codec.coded import CodedModel, code
from fedphd.common.wire.links import Download
from fedphd.common.wire.messages import RoundOrder, TrainOrder, content_bytes
from fedphd.common.wire.parts import DECODER, PARTS

KINDS = ["float32", "float16", "bfloat16", "int8", "int4"]


def model_of(message: object) -> CodedModel:
    return message.download.model if hasattr(message, "download") else message.model


# --- there and back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("zstd", [None, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_every_codec_and_change_travels(kind: str, zstd: int | None) -> None:
    odd = PackedModel(EXPECTED, np.array([-0.0, 1e-45, 3.4e38], np.float32))
    for of, base in (("weights", None), ("change", PackedModel(EXPECTED, np.zeros(3, np.float32)))):
        coded = code(odd, CODECS.read({"kind": kind, "of": of, "error_feedback": False, "zstd": zstd}), base)
        up = read("client update", replace(SOUND["client update"], model=coded).write())
        down = Download(coded, MODEL.structure, SHARED, SHARED, None if base is None else 0)
        order = read("train order", replace(SOUND["train order"], download=down).write())
        assert up.model == order.download.model == coded
        assert up.model.decode(base).vector.tobytes() == coded.decode(base).vector.tobytes()


def test_the_records_of_a_model_are_made_once_for_all_messages_with_it() -> None:
    to = [TrainOrder(WHOLE, "edge-0", 3, 5, False, (DECODER,), final=bool(i)).write() for i in range(2)]
    assert to[0]["model"] is to[1]["model"]
    again = TrainOrder(download(MODEL, shared=SHARED), "edge-0", 3, 5, False, (DECODER,)).write()
    assert again["model"] is not to[0]["model"]


def test_structures_of_any_names_travel_where_all_parts_do() -> None:
    model = PackedModel(Structure((("é\n'\"", (2,)), ("", ()))), np.arange(3, dtype=np.float32))
    order = TrainOrder(download(model), "edge-0", 1, 0, False, PARTS)
    back = TrainOrder.read(order.write())
    assert same(back, order) and back.answer == model.structure


def test_bytes_are_counted() -> None:
    content = RoundOrder(WHOLE, 3, 4, [["client-0"]], True).write()
    # Flower's count: the array's bytes and key, and names and values of the two config records; a number takes 8 bytes.
    structure = len("id") + 16 + len("tensors") + len(MODEL.structure.to_json())
    structure += (
        len("parts") + len("encoderbottleneckdecoder") + len("shared") + len("bottleneckdecoder") + len("base") + 8
    )
    order = len("root-round") + 8 + len("first-edge-round") + 8 + len("assignment") + len('[["client-0"]]')
    order += len("final") + len("[]") + len("counted") + len("{}") + len("sparse") + 1 + len("pruning") + len("null")
    assert content_bytes(content) == len("weights") + 4 * 4 + structure + order


# --- what is no such model --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DOWN + UP)
@pytest.mark.parametrize(
    "stype", ["numpy.ndarray", "", "fedphd.float64", "fedphd.int8+gzip", "FEDPHD.int8", "fedphd.pixels", "x" * 9999]
)
def test_other_serialisations_are_refused(kind: str, stype: str) -> None:
    """... Flower's own above all, which other code could average."""
    reason = refused(kind, with_array(kind, raw(SOME.vector.tobytes(), stype)))
    assert "unknown serialisation type" in reason and len(reason) < 400


@pytest.mark.parametrize("kind", DOWN + UP)
def test_other_arrays_are_refused(kind: str) -> None:
    array = raw(bytes(12))
    for arrays in ({}, {"weights": array, "change": array}, {"vector": array}, {"Weights": array}):
        content = written(kind)
        content["model"] = ArrayRecord(arrays)
        assert "no model: an ArrayRecord 'model' with one array 'weights' or 'change'" in refused(kind, content)


@pytest.mark.parametrize("kind", ["round order", "train order", *UP])
def test_control_variates_are_checked_as_models_are(kind: str) -> None:
    assert "unknown serialisation" in refused(kind, with_array(kind, raw(bytes(12), "numpy.ndarray"), "control"))
    content = written(kind)
    content["control"] = ConfigRecord({"weights": 1})
    assert "no model: an ArrayRecord 'control'" in refused(kind, content)
    message = read(kind, with_array(kind, raw(bytes(8)), "control"))
    with pytest.raises(CodecError, match="8 bytes instead of 12"):
        message.control.decode()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (raw(bytes(8)), "float32 data has 8 bytes instead of 12"),
        (raw(bytes(16)), "float32 data has 16 bytes instead of 12"),
        (raw(b""), "float32 data has 0 bytes"),
        (raw(np.float32([1, np.nan, 2]).tobytes()), "not finite"),
        (raw(np.float32([1, np.inf, 2]).tobytes()), "not finite"),
        (raw(bytes(12), "fedphd.float16"), "float16 data has 12 bytes instead of 6"),
        (raw(bytes(12), "fedphd.int8+zstd"), "zstd"),
    ],
)
@pytest.mark.parametrize("kind", UP)
def test_numbers_are_refused_when_they_are_decoded(kind: str, array: Array, reason: str) -> None:
    """... and not before: a message can be passed on, or its bytes counted, without decoding."""
    message = read(kind, with_array(kind, array))
    with pytest.raises(CodecError, match=reason):
        model_of(message).decode()


def test_what_an_array_says_of_itself_does_not_count() -> None:
    """Neither its dtype nor its shape is looked at: structure and kind say what the bytes are."""
    sound = SOME.vector.tobytes()
    for dtype, shape in (("float64", (3,)), ("object", (10**9, 10**9)), ("", ()), ("O", (-1,))):
        message = read("client update", with_array("client update", raw(sound, dtype=dtype, shape=shape)))
        assert message.model.decode().hash == SOME.hash


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.trace,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    stream, trace = io.BytesIO(), tmp_path / "trace"
    np.save(stream, np.array([Bomb(trace)] * 3, object), allow_pickle=True)
    for kind in [*DOWN, *UP]:
        refused(kind, with_array(kind, raw(stream.getvalue(), "numpy.ndarray")))
        key = "change" if model_of(SOUND[kind]).change else "weights"
        message = read(kind, with_array(kind, raw(stream.getvalue()), key=key))
        with pytest.raises(CodecError):
            model_of(message).decode(SOME)
    refused("drawing", with_array("drawing", raw(stream.getvalue(), "numpy.ndarray"), "pixels", "pixels"))
    assert not trace.exists()
    np.load(io.BytesIO(stream.getvalue()), allow_pickle=True)
    assert trace.exists()  # the bomb does work

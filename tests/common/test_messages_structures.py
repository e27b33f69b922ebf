"""What models in messages say they are: their structure, their parts, and what a change counts from."""

from dataclasses import replace

import pytest
from helpers import exact, packed
from sound_messages import (
    DOWN,
    EXPECTED,
    MODEL,
    PARTIAL,
    SHARED,
    SOUND,
    UP,
    read,
    refused,
    with_entry,
    written,
)

from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import CodecError
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.links import Download
from fedphd.common.wire.parts import ENCODER, PARTS, Parts


@pytest.mark.parametrize("kind", UP)
def test_an_update_of_another_structure_is_refused(kind: str) -> None:
    for other in (packed(1.0, 2.0), MODEL, packed(3.5, 4.0, 1.0)):
        content = replace(SOUND[kind], model=exact(other), control=None).write()
        assert f"instead of '{EXPECTED.id}'" in refused(kind, content)


@pytest.mark.parametrize("kind", DOWN)
@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("id", "0123456789abcdef", "'0123456789abcdef' does not fit the tensors"),
        ("tensors", '[["conv_in.weight",[4]]]', "does not fit the tensors"),
        ("tensors", '[["w",[-3]]]', "positive sizes"),
        ("tensors", '[["w",[3]],["w",[3]]]', "twice"),
        ("parts", ["decoder", "bottleneck"], "'parts' must be some of encoder, bottleneck, decoder, in this order"),
        ("parts", ["decoder", "decoder"], "'parts' has a name twice"),
        ("parts", ["head"], "'parts' must be some of"),
        ("parts", [], "'parts' must be some of"),
        ("parts", ["encoder"], "all parts, or those that are shared"),
        ("shared", [], "'shared' must be some of"),
        ("shared", "decoder", "'shared' must be a list of names"),
        ("base", -2, "'base' must be a round, or -1, not -2"),
        ("base", True, "'base' must be a round, or -1, not True"),
        ("base", 1.0, "'base' must be a round, or -1, not 1.0"),
    ],
)
def test_what_comes_down_must_fit_together(kind: str, key: str, value: object, reason: str) -> None:
    assert reason in refused(kind, with_entry(kind, "structure", key, value))


def test_a_change_has_a_base_and_weights_have_none() -> None:
    assert "a change needs a base" in refused("errand", with_entry("errand", "structure", "base", 3))
    assert "a change needs a base" in refused("client errand", with_entry("client errand", "structure", "base", -1))
    whole = Download(replace(PARTIAL.model, structure=MODEL.structure), MODEL.structure, PARTS, SHARED, base=4)
    assert "a change is of the shared ones" in refused("errand", replace(SOUND["errand"], download=whole).write())


@pytest.mark.parametrize("kind", DOWN)
@pytest.mark.parametrize("parts", [PARTS, SHARED])
def test_names_that_do_not_tell_their_parts_are_refused_where_parts_travel(kind: str, parts: Parts) -> None:
    """... whether it is what came that cannot be told apart, or what comes the next time."""
    odd = Download(exact(packed(1.0)), packed(1.0).structure, parts, SHARED)
    assert "tensor w belongs to no part" in refused(kind, replace(SOUND[kind], download=odd).write())


def test_only_shared_parts_are_to_be_reported() -> None:
    content = with_entry("train order", "order", "reports", [ENCODER])
    assert "'reports' must be some of the shared parts, not ('encoder',)" in refused("train order", content)
    assert read("train order", written("train order")).answer.tensors == MODEL.structure.tensors[2:]


@pytest.mark.parametrize("size", [10**18, 10**11])
def test_a_structure_of_absurd_size_takes_no_memory(size: int) -> None:
    absurd = Structure((("conv_in.weight", (size,)),))
    # A zstd frame with one empty block that says it holds all the numbers: magic, flags, size of the content.
    frame = bytes.fromhex("28b52ffd" + "e0") + (4 * size).to_bytes(8, "little") + b"\x01\x00\x00"
    for kind, zstd, data in (("float32", None, bytes(100)), ("int4", None, bytes(100)), ("float32", 1, frame)):
        down = Download(CodedModel(absurd, kind, zstd, False, data), absurd, PARTS, PARTS)
        order = read("errand", replace(SOUND["errand"], download=down).write())
        with pytest.raises(CodecError, match=r"100 bytes instead of|cannot be decompressed"):
            order.download.model.decode()

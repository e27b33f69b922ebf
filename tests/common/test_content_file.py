"""Message contents as files: nothing is lost, and nothing else is taken for one."""

import stat
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from helpers import download, packed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from fedphd.common.wire.content_file import RECORDS, ContentFileError, read_content, write_content
from fedphd.common.wire.messages import RoundOrder

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WHOLE = st.integers(-(2**63), 2**63 - 1)  # as protobuf carries them
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
REALS = st.one_of(st.floats(allow_nan=False), st.just(float("nan")))  # JSON knows one NaN only
SCALARS = [st.booleans(), WHOLE, REALS, TEXT, st.binary(max_size=12)]
CONFIGS = st.dictionaries(NAMES, st.one_of(*SCALARS, *(st.lists(one, max_size=4) for one in SCALARS)), max_size=4)
NUMBERS = [WHOLE, REALS]
METRICS = st.dictionaries(NAMES, st.one_of(*NUMBERS, *(st.lists(one, max_size=4) for one in NUMBERS)), max_size=4)
DTYPES = st.one_of(
    hnp.floating_dtypes(endianness="="), hnp.integer_dtypes(endianness="="), hnp.boolean_dtypes(), st.just(np.uint8)
)
SOUND_ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)).map(Array)
# What another node may send: bytes that are no array at all.
ODD_ARRAYS = st.builds(Array, TEXT, st.tuples(WHOLE, WHOLE), TEXT, st.binary(max_size=40))
ARRAYS = st.dictionaries(NAMES, st.one_of(SOUND_ARRAYS, ODD_ARRAYS), max_size=3)
CONTENTS = st.dictionaries(
    NAMES, st.one_of(ARRAYS.map(ArrayRecord), CONFIGS.map(ConfigRecord), METRICS.map(MetricRecord)), max_size=4
).map(RecordDict)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contents")


@settings(max_examples=80, deadline=None)
@given(content=CONTENTS, facts=st.dictionaries(st.sampled_from(["type", "error", "x"]), TEXT))
def test_every_content_comes_back_as_it_was(folder: Path, content: RecordDict, facts: dict[str, str]) -> None:
    write_content(folder / "content", content, facts)
    back, told = read_content(folder / "content")
    assert back.object_id == content.object_id  # a hash of everything in it
    assert list(back) == list(content)
    assert {name: list(record) for name, record in back.items()} == {name: list(one) for name, one in content.items()}
    assert told == facts


def order() -> RecordDict:
    return RoundOrder(download(packed(1.0, -2.0, 3.5)), 3, 4, [["client-0", "client-1"], []], True).write()


def test_a_round_order_comes_back(tmp_path: Path) -> None:
    write_content(tmp_path / "order", order())
    back = RoundOrder.read(read_content(tmp_path / "order")[0])
    assert (back.root_round, back.assignment, back.download.model.decode().hash) == (
        3,
        [["client-0", "client-1"], []],
        packed(1.0, -2.0, 3.5).hash,
    )


def test_a_file_is_the_owners_only_and_replaced_as_a_whole(tmp_path: Path) -> None:
    write_content(tmp_path / "content", order())
    write_content(tmp_path / "content", RecordDict(), {"error": "why"})
    assert stat.S_IMODE((tmp_path / "content").stat().st_mode) == 0o600
    assert (dict(read_content(tmp_path / "content")[0]), read_content(tmp_path / "content")[1]) == (
        {},
        {"error": "why"},
    )
    assert [file.name for file in tmp_path.iterdir()] == ["content"]


def refused(path: Path) -> None:
    with pytest.raises(ContentFileError, match=str(path)):
        read_content(path)


def test_what_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    refused(tmp_path / "nothing")
    refused(tmp_path)


def test_a_torn_file_is_refused_wherever_it_was_torn(tmp_path: Path) -> None:
    write_content(tmp_path / "content", order(), {"type": "train"})
    whole = (tmp_path / "content").read_bytes()
    for length in range(0, len(whole), 3):
        (tmp_path / "torn").write_bytes(whole[:length])
        refused(tmp_path / "torn")


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_still_a_content(folder: Path, data: st.DataObject) -> None:
    write_content(folder / "damaged", order(), {"type": "train"})
    whole = bytearray((folder / "damaged").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (folder / "damaged").write_bytes(whole)
    try:
        content, _ = read_content(folder / "damaged")
    except ContentFileError:
        return
    assert isinstance(content, RecordDict)


FOREIGN = {
    "nothing": b"",
    "noise": b"\x00\xff" * 100,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "weights without a word": save({"w": np.zeros(3)}),
    "weights with other words": save({"w": np.zeros(3)}, {"format": "pt"}),
    "too deep": save({}, {RECORDS: "[" * 100_000}),
} | {
    records: save({}, {RECORDS: records})
    for records in (
        "",
        "{",
        "null",
        "[]",
        "3",
        '{"a": null}',
        '{"a": {}}',
        '{"a": {"arrays": [], "config": {}}}',
        '{"a": {"pickles": {}}}',
        '{"a": {"arrays": [{"key": "x", "dtype": "float32", "shape": [1], "stype": "numpy.ndarray"}]}}',
        '{"a": {"arrays": [{}]}}',
        '{"a": {"arrays": {"x": 1}}}',
        '{"a": {"config": []}}',
        '{"a": {"config": {"k": null}}}',
        '{"a": {"config": {"k": {"base32": "AA"}}}}',
        '{"a": {"config": {"k": {"base64": "A"}}}}',
        '{"a": {"config": {"k": {"base64": 7}}}}',
        '{"a": {"config": {"k": [[1]]}}}',
        '{"a": {"config": {"k": [1, "one"]}}}',
        '{"a": {"metrics": {"k": "text"}}}',
    )
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_another_kind_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "foreign").write_bytes(FOREIGN[kind])
    refused(tmp_path / "foreign")


def test_an_array_is_kept_as_the_bytes_that_travel(tmp_path: Path) -> None:
    """A pickle from the network stays bytes: nobody looks into it."""
    array = Array("float32", (2,), "numpy.ndarray", b"cos\nsystem\n(S'touch /tmp/x'\ntR.")
    write_content(tmp_path / "content", RecordDict({"model": ArrayRecord({"vector": array})}))
    back = read_content(tmp_path / "content")[0]["model"]["vector"]
    assert (back.dtype, back.shape, back.stype, back.data) == (array.dtype, (2,), array.stype, array.data)

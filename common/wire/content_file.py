"""A message's content as one file: safetensors for the arrays, JSON in its header for everything else.

Arrays are stored as the bytes that travel, whatever their serialisation type; nothing is unpickled.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fedphd.common.keeping.private_files import write_private

RECORDS, BYTES = "records", "base64"
KINDS: dict[str, type[ConfigRecord] | type[MetricRecord]] = {"config": ConfigRecord, "metrics": MetricRecord}


class ContentFileError(Exception):
    """A file that does not hold a message's content."""


def write_content(path: Path, content: RecordDict, facts: Mapping[str, str] | None = None) -> None:
    """Write a content and a few facts about it: atomically, for the owner only.

    Parameters
    ----------
    path : Path
        The file.
    content : RecordDict
        Arrays, configs and metrics.
    facts : Mapping[str, str], optional
        Short texts to keep with it.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    described: dict[str, object] = {}
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            described[name] = {"arrays": [_describe(key, array) for key, array in record.items()]}
            arrays |= {_tensor(name, key): np.frombuffer(array.data, np.uint8) for key, array in record.items()}
        else:
            kind = "config" if isinstance(record, ConfigRecord) else "metrics"
            described[name] = {kind: {key: _to_json(value) for key, value in record.items()}}
    write_private(path, save(arrays, {**(facts or {}), RECORDS: json.dumps(described)}))


def read_content(path: Path) -> tuple[RecordDict, dict[str, str]]:
    """Read what `write_content` wrote.

    Returns
    -------
    tuple[RecordDict, dict[str, str]]
        The content and the facts.

    Raises
    ------
    ContentFileError
        If the file is missing, torn, or of another kind.
    """
    try:
        with safe_open(path, "numpy") as file:
            facts = dict(file.metadata())
            described = json.loads(facts.pop(RECORDS))
            arrays = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118 - not a dict
        return RecordDict({name: _record(name, one, arrays) for name, one in described.items()}), facts
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ContentFileError(f"{path}: {error}") from None


def _describe(key: str, array: Array) -> dict[str, object]:
    return {"key": key, "dtype": array.dtype, "shape": list(array.shape), "stype": array.stype}


def _record(
    name: str, described: dict[str, Any], arrays: Mapping[str, bytes]
) -> ArrayRecord | ConfigRecord | MetricRecord:
    ((kind, value),) = described.items()
    if kind != "arrays":
        return KINDS[kind]({key: _from_json(entry) for key, entry in value.items()})
    made = [
        (one["key"], Array(one["dtype"], tuple(one["shape"]), one["stype"], arrays[_tensor(name, one["key"])]))
        for one in value
    ]
    return ArrayRecord(dict(made))


def _tensor(record: str, key: str) -> str:
    return json.dumps([record, key])


def _to_json(value: object) -> object:
    """JSON has no bytes: they become an object, which no record's value is."""
    if isinstance(value, bytes):
        return {BYTES: base64.b64encode(value).decode("ascii")}
    return [_to_json(one) for one in value] if isinstance(value, list) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value[BYTES])
    return [_from_json(one) for one in value] if isinstance(value, list) else value

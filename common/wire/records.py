"""Checked reading of Flower records: every value has the type and range that the reader names, or `MessageError`.

Nothing here knows which records a message has (common/wire/messages/); nothing trusts the sender.
"""

import json
from reprlib import repr as shortened
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, RecordDict

LARGEST_COUNT = 2**53  # whole numbers up to this one are exact as floats
LARGEST_NUMBER = float(np.finfo(np.float32).max)  # so that sums of numbers stay finite


class MessageError(ValueError):
    """A message that must not be used; the text says why."""


def check_sender(name: str, asked: str) -> None:
    """Refuse what comes from another than who was asked."""
    if name != asked:
        raise MessageError(f"comes from {shortened(name)}")


def only(content: RecordDict, *names: str) -> None:
    """Refuse records other than the named ones."""
    if not set(content) <= set(names):
        raise MessageError(f"unknown records: {shortened(sorted(set(content) - set(names)))}")


def config(content: RecordDict, name: str, entries: str) -> ConfigRecord:
    """Give the ConfigRecord `name`, which must have exactly the entries listed in `entries`."""
    record = content.get(name)
    if not isinstance(record, ConfigRecord):
        raise MessageError(f"no ConfigRecord '{name}'")
    if set(record) != set(entries.split()):
        raise MessageError(f"'{name}' must have the entries {entries}, not {shortened(sorted(record))}")
    return record


def record(entry: object) -> ConfigRecord:
    """Make a record of a JSON object; null counts as missing."""
    if not isinstance(entry, dict):
        raise MessageError(f"not a record: {shortened(entry)}")
    try:
        return ConfigRecord({key: value for key, value in entry.items() if value is not None})
    except TypeError as error:
        raise MessageError(f"not a record: {error}") from None


def text(record: ConfigRecord, key: str) -> str:
    """Give the text at `key`, which must not be empty."""
    value = record.get(key)
    if not isinstance(value, str) or not value:
        raise MessageError(f"'{key}' must be text, not {shortened(value)}")
    return value


def line(record: ConfigRecord, key: str, longest: int) -> str:
    """Give the text at `key`, which must be one printable line of at most `longest` characters."""
    return _line(key, text(record, key), longest)


def lines(record: ConfigRecord, key: str, most: int, longest: int) -> list[str]:
    """Give the lines that the JSON list at `key` holds: at most `most`, each as `line` wants it."""
    found = json_list(record, key)
    if len(found) > most:
        raise MessageError(f"'{key}' has {len(found)} lines; {most} are allowed")
    return [_line(key, one, longest) for one in found]


def _line(key: str, value: object, longest: int) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > longest:
        raise MessageError(f"'{key}' must be printable lines of at most {longest} characters, not {shortened(value)}")
    return value


def flag(record: ConfigRecord, key: str) -> bool:
    """Give the truth value at `key`."""
    value = record.get(key)
    if not isinstance(value, bool):
        raise MessageError(f"'{key}' must be true or false, not {shortened(value)}")
    return value


def names(record: ConfigRecord, key: str) -> list[str]:
    """Give the list of distinct names at `key`."""
    values = record.get(key)
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise MessageError(f"'{key}' must be a list of names, not {shortened(values)}")
    if len(set(values)) < len(values):
        raise MessageError(f"'{key}' has a name twice: {shortened(values)}")
    return values


def count(record: ConfigRecord, key: str) -> int:
    """Give the whole number of at least 0 at `key`."""
    value = record.get(key)
    if not isinstance(value, int) or not _is_count(value):
        raise MessageError(f"'{key}' must be a whole number of at least 0, not {shortened(value)}")
    return value


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_COUNT


def number(record: ConfigRecord, key: str) -> float:
    """Give the finite number at `key`."""
    value = record.get(key)
    if not _is_number(value):
        raise MessageError(f"'{key}' must be a finite number, not {shortened(value)}")
    return float(value)


def duration(record: ConfigRecord, key: str) -> float:
    """Give the seconds at `key`, finite and not negative."""
    seconds = number(record, key)
    if seconds < 0:
        raise MessageError(f"'{key}' must be seconds from 0 up, not {seconds}")
    return seconds


def numbers(record: ConfigRecord, key: str) -> list[float]:
    """Give the list of finite numbers at `key`."""
    values = record.get(key)
    if not isinstance(values, list) or not all(_is_number(value) for value in values):
        raise MessageError(f"'{key}' must be a list of finite numbers, not {shortened(values)}")
    return [float(value) for value in values]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def counts(record: ConfigRecord, key: str) -> dict[str, int]:
    """Give the whole numbers of at least 0, by name, that the JSON text at `key` holds."""
    value = _json(record, key)
    if not isinstance(value, dict):
        raise MessageError(f"'{key}' must be a JSON object")
    if not all(_is_count(one) for one in value.values()):
        raise MessageError(f"'{key}' must have whole numbers of at least 0, not {shortened(value)}")
    return value


def json_list(record: ConfigRecord, key: str) -> list[Any]:
    """Give the list that the JSON text at `key` holds."""
    value = _json(record, key)
    if not isinstance(value, list):
        raise MessageError(f"'{key}' must be a JSON list")
    return value


def _json(record: ConfigRecord, key: str) -> object:
    try:
        return json.loads(text(record, key))
    except (ValueError, RecursionError) as error:
        raise MessageError(f"'{key}' is not JSON: {error}") from None

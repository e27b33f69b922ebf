"""The settings of runs: which they share, in which they differ, and what to call a run by them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic_core import PydanticUndefined, to_jsonable_python

from fedphd.common.choices import Affects
from fedphd.common.config import affects, default, leaves

Settings = Mapping[str, str]  # by dotted name, as text

UNSET = "(unset)"
SEED = "seed"  # in which the runs of one experiment differ
NAMING = ("kind", "name")  # settings that say which choice of a group it is


def settings_of(config: Mapping[str, object]) -> Settings:
    """Flatten a configuration tree, without what does not tell experiments apart.

    Parameters
    ----------
    config : Mapping[str, object]
        The tree of a run's ``config.yaml``.

    Returns
    -------
    Settings
        Values as text by dotted name. Of files that are read there is the last part only: the same ones may lie
        elsewhere.
    """
    found = {key: value for key, value in leaves(config) if not _is_apart(key)}
    return {key: _text(key, value) for key, value in found.items()}


def completed(row: Settings, keys: Iterable[str]) -> Settings:
    """Give a row, of these settings, the present defaults of those that it lacks: they may be newer than its run."""
    lacking = {key: default(key, row) for key in keys if key not in row}
    found = {key: value for key, value in lacking.items() if value is not PydanticUndefined}
    return {**row, **{key: _text(key, to_jsonable_python(value)) for key, value in found.items()}}


def shared(rows: Sequence[Settings]) -> Settings:
    """Give the settings that have the same value in all rows."""
    apart = set(differing(rows))
    return {key: value for key, value in rows[0].items() if key not in apart}


def differing(rows: Sequence[Settings]) -> list[str]:
    """List the settings whose values differ between rows."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if len({row.get(key) for row in rows}) > 1]


def usual(rows: Sequence[Settings]) -> Settings:
    """Give the most common value, else the first, of each setting in which rows differ; `method` has no usual one."""
    keys = [key for key in differing(rows) if key != "method"]
    return {key: Counter(row.get(key, UNSET) for row in rows).most_common(1)[0][0] for key in keys}


def deviations(row: Settings, ordinary: Settings) -> Settings:
    """Give those settings of a row whose values are not the ordinary ones."""
    return {key: row.get(key, UNSET) for key, value in ordinary.items() if row.get(key, UNSET) != value}


def labels(rows: Sequence[Settings]) -> list[str]:
    """Name each row: by its method, and by what tells it apart from other rows of that method.

    Parameters
    ----------
    rows : Sequence[Settings]
        No two of them equal.

    Returns
    -------
    list[str]
        E.g. ``fedavg``, ``fedphd exchange=full``, ``fedphd exchange=udec``; no two of them equal.
    """
    names = [row.get("method", UNSET) for row in rows]
    while len(set(names)) < len(names):
        for name, count in Counter(names).items():
            members = [index for index, other in enumerate(names) if other == name] if count > 1 else []
            keys = differing([rows[index] for index in members])
            for index in members:
                names[index] = " ".join([name, *_in_short(rows[index], keys)])
    return names


def _in_short(row: Settings, keys: Sequence[str]) -> list[str]:
    """Write settings as on the command line: a group's choice where there is one, else option by option."""
    words = []
    for group in dict.fromkeys(key.partition(".")[0] for key in keys):
        inner = [key for key in keys if key.partition(".")[0] == group]
        naming = [key for key in inner if _names_choice(key)]
        choices = {value for key, value in row.items() if key.startswith(f"{group}.") and _names_choice(key)}
        if naming and len(choices) == 1:
            words.append(f"{group}={choices.pop()}")
        else:
            words += [f"{key}={row.get(key, UNSET)}" for key in naming or inner]
    return words


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    return Path(value).name if key.startswith(("data.", "evaluation.")) and Path(value).is_absolute() else value


def _names_choice(key: str) -> bool:
    return key.rpartition(".")[2] in NAMING


def _is_apart(key: str) -> bool:
    """Say whether a setting leaves the trained model and its measurement as they are."""
    return key == SEED or affects(key) == {Affects.NOTHING}

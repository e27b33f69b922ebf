"""Runs in a file: all that a comparison takes from their folders, small enough to be committed with its results.

The file is JSON, with one line for each run::

    {"format": "fedphd runs", "version": 1, "fedphd": "0.2.0", "shared": {...}, "runs": [
    {"name": ..., "seed": ..., "started": ..., "measure": ..., "settings": {...}, "standings": [{...}, ...]}
    ]}

``shared`` are the settings of all of them, a run's ``settings`` its others; ``standings`` are described in
launch/compare/standing.py.
"""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedphd.common.errors import SettingError
from fedphd.common.run.figures import one_line
from fedphd.launch.compare.runs import Run
from fedphd.launch.compare.settings import shared

FORMAT = "fedphd runs"
VERSION = 1
SUFFIX = ".json"


class Saved(BaseModel):
    """What such a file holds.

    Attributes
    ----------
    format, version : str, int
        By which it is known.
    fedphd : str
        The version of FedPhD that wrote it.
    shared : dict[str, str]
        The settings of all runs.
    runs : list[Run]
        The runs, each with its other settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["fedphd runs"]
    version: Literal[1]
    fedphd: str
    shared: dict[str, str]
    runs: list[Run] = Field(min_length=1)


def save_runs(runs: Sequence[Run], path: Path) -> None:
    """Write runs to `path`, which ends with ``.json``.

    Raises
    ------
    SettingError
        If the name ends otherwise, or there is a file that holds no saved runs.
    """
    if path.suffix != SUFFIX:
        raise SettingError("--save", path, f"must be a JSON file; use a name that ends with {SUFFIX}")
    if path.exists():
        _tree(path, "--save")  # no other file is overwritten
    common = shared([run.settings for run in runs])
    head = {"format": FORMAT, "version": VERSION, "fedphd": version("fedphd"), "shared": dict(common)}
    lines = ",\n".join(_line(run, set(common)) for run in runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{json.dumps(head)[:-1]}, "runs": [\n{lines}\n]}}\n', encoding="utf-8")


def read_saved(path: Path) -> list[Run]:
    """Read the runs in a file that `save_runs` wrote.

    Raises
    ------
    SettingError
        If there is no such file, or it holds no saved runs that this version can read.
    """
    tree = _tree(path, "RUN_FOLDER")
    if tree["version"] != VERSION:
        advice = f"has runs in format {tree['version']}, and this version reads {VERSION}; save them again"
        raise SettingError("RUN_FOLDER", path, advice)
    try:
        saved = Saved.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingError("RUN_FOLDER", path, f"{where}: {one_line(first['msg'])}; save these runs again") from None
    return [run.with_settings({**saved.shared, **run.settings}) for run in saved.runs]


def _line(run: Run, common: set[str]) -> str:
    tree = run.model_dump(mode="json", exclude_none=True)
    tree["settings"] = {key: value for key, value in run.settings.items() if key not in common}
    return json.dumps(tree, separators=(",", ":"), allow_nan=False)


def _tree(path: Path, key: str) -> dict[str, Any]:
    """Parse a file that must be one of saved runs, of whatever version."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(key, path, "there is no such file or folder") from None
    except (OSError, ValueError):
        tree = None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT or "version" not in tree:
        raise SettingError(key, path, "holds no saved runs; use a file that `fedphd compare --save` wrote")
    return tree

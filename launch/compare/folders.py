"""Finding run folders below the folders that a user names."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fedphd.common.errors import SettingError
from fedphd.common.run.run_folder import CONFIG, METRICS, RunFolder

LEVELS = 2  # a sweep folder holds run folders; a folder of sweeps holds sweep folders


def find_runs(given: Sequence[Path]) -> list[Path]:
    """List the run folders among `given` and up to two levels below, each once.

    Parameters
    ----------
    given : Sequence[Path]
        Run folders, sweep folders and folders of such, mixed.

    Returns
    -------
    list[Path]
        In the order of `given`; below one folder by name, where ``10_fedavg`` comes after ``9_fedavg``.

    Raises
    ------
    SettingError
        If nothing is given, or one of `given` does not exist or holds no run.
    """
    if not given:
        raise SettingError("RUN_FOLDER", None, "name run folders or sweep folders, e.g. fedphd compare runs/sweep_*")
    found: dict[Path, Path] = {}
    for folder in given:
        if not folder.is_dir():
            raise SettingError("RUN_FOLDER", folder, "there is no such folder")
        below = _runs_below(folder, LEVELS)
        if not below:
            advice = f"holds no run: nothing with {CONFIG} and {METRICS} in it, or up to {LEVELS} levels below"
            raise SettingError("RUN_FOLDER", folder, advice)
        for run_dir in below:
            found.setdefault(run_dir.resolve(), run_dir)
    return list(found.values())


def short_names(run_dirs: Sequence[Path]) -> list[str]:
    """Name run folders by what their paths do not share, e.g. ``0_fedavg_seed0``."""
    paths = [run_dir.resolve() for run_dir in run_dirs]
    shared = Path(os.path.commonpath([path.parent for path in paths]))
    return [path.relative_to(shared).as_posix() for path in paths]


def _runs_below(folder: Path, levels: int) -> list[Path]:
    if RunFolder(folder).has_told:
        return [folder]  # what is in a run folder belongs to that run
    if not levels:
        return []
    inner = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: _by_number(path.name))
    return [run_dir for path in inner for run_dir in _runs_below(path, levels - 1)]


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]

"""Gathering the runs that are to be compared, from their folders and from files of saved runs."""

from collections.abc import Sequence
from pathlib import Path

from fedphd.launch.compare.folders import find_runs, short_names
from fedphd.launch.compare.runs import Run, flaw
from fedphd.launch.compare.saved import SUFFIX, read_saved
from fedphd.launch.report.recorded_run import RecordedRun


def gather(given: Sequence[Path]) -> tuple[list[Run], list[tuple[str, str]]]:
    """Read all runs: first those in folders, then those in files.

    Returns
    -------
    tuple[list[Run], list[tuple[str, str]]]
        The finished runs; and those that are not, with what is wrong with each.

    Raises
    ------
    SettingError
        If nothing is given, a folder holds no run, or a file holds no saved runs.
    """
    files = [path for path in given if path.suffix == SUFFIX and not path.is_dir()]
    folders = [path for path in given if path not in files]
    runs, left_out = _from_folders(folders) if folders or not given else ([], [])
    return [*runs, *(run for file in files for run in read_saved(file))], left_out


def _from_folders(given: Sequence[Path]) -> tuple[list[Run], list[tuple[str, str]]]:
    runs, left_out = [], []
    run_dirs = find_runs(given)
    for run_dir, name in zip(run_dirs, short_names(run_dirs), strict=True):
        folder = RecordedRun.read(run_dir)
        reason = flaw(folder)
        if reason is None:
            runs.append(Run.of(folder, name))
        else:
            left_out.append((name, reason))
    return runs, left_out

"""Which runs are found in what a user names."""

from pathlib import Path

import pytest
from compared_runs import write_run
from run_writer import RunWriter

from fedphd.common.errors import SettingError
from fedphd.common.run.events import Fail
from fedphd.launch.compare.comparison import compare
from fedphd.launch.compare.folders import find_runs, short_names


def test_finds_runs_in_run_folders_sweeps_and_folders_of_sweeps(sweep: Path) -> None:
    names = ["0_fedavg_seed0", "1_fedavg_seed1", "2_fedprox_seed0", "10_fedprox_seed1"]
    assert short_names(find_runs([sweep])) == names
    assert short_names(find_runs([sweep.parent])) == names
    # One that is named is found once, and comes first.
    mixed = find_runs([sweep / names[2], sweep])
    assert short_names(mixed) == [names[2], names[0], names[1], names[3]]
    assert short_names(mixed[:1]) == [names[2]]


def test_does_not_look_into_run_folders(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write_run(run / "edge-0")
    assert find_runs([tmp_path]) == [run]


def test_run_that_failed_before_its_first_metrics_is_found(tmp_path: Path) -> None:
    failed = write_run(tmp_path / "failed", rounds=0)
    (failed / "metrics.jsonl").unlink()
    RunWriter(failed).ledger.write(Fail(reason="TimeoutError:\nno client"))
    write_run(tmp_path / "run")
    assert compare([tmp_path]).left_out == [("failed", "failed after round 0 of 4: TimeoutError: no client")]


def test_nothing_to_compare(tmp_path: Path, sweep: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingError, match=r"^RUN_FOLDER=null: name run folders or sweep folders"):
        compare([])
    with pytest.raises(SettingError, match=r"nowhere: there is no such folder$"):
        compare([sweep, tmp_path / "nowhere"])
    with pytest.raises(SettingError, match=r"empty: holds no run: nothing with config.yaml and metrics.jsonl"):
        compare([sweep, tmp_path / "empty"])
    with pytest.raises(SettingError, match=r"no finished run to compare; 10_fedprox_seed1: not finished: round 3 of 4"):
        compare([sweep / "10_fedprox_seed1"])

from pathlib import Path

import pytest

from fedphd.common.errors import SettingError
from fedphd.common.run.run_folder import RunFolder
from fedphd.common.run.sole_writer import refuse_used, sole_writer


def test_rounds_are_numbers(tmp_path: Path) -> None:
    for name in ("round_9999", "round_10000", ".draft_10001"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert RunFolder(tmp_path).checkpoint_rounds() == [9999, 10000]


def test_a_run_that_was_killed_in_its_first_checkpoint_may_start_again(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".draft_0000").mkdir(parents=True)
    refuse_used(tmp_path)


def test_locks_of_different_names_do_not_meet(tmp_path: Path) -> None:
    refused = pytest.raises(SettingError, match="another process")
    with sole_writer(tmp_path), sole_writer(tmp_path, ".other"), refused, sole_writer(tmp_path, ".other"):
        pass

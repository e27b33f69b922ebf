"""Files for the owner only, whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

import fedphd.common.keeping.private_files
from fedphd.common.keeping.private_files import private_folder, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_file_is_the_owners_only(tmp_path: Path) -> None:
    write_private(tmp_path / "new" / "secret", b"one")
    assert (tmp_path / "new" / "secret").read_bytes() == b"one"
    assert mode(tmp_path / "new" / "secret") == 0o600
    assert mode(tmp_path / "new") == 0o700


def test_a_file_that_everybody_could_read_is_replaced_by_one_for_the_owner(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"old")
    file.chmod(0o644)
    write_private(file, b"new")
    assert (file.read_bytes(), mode(file)) == (b"new", 0o600)


def test_all_folders_that_are_made_are_the_owners_only(tmp_path: Path) -> None:
    private_folder(tmp_path / "spool" / "1" / "orders")
    for folder in ("spool", "spool/1", "spool/1/orders"):
        assert mode(tmp_path / folder) == 0o700


def test_a_folder_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o755)
    assert private_folder(tmp_path / "own") == tmp_path / "own"
    assert mode(tmp_path / "own") == 0o755


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write_private(tmp_path / "file", b"old")
    monkeypatch.setattr(fedphd.common.keeping.private_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    monkeypatch.undo()
    write_private(tmp_path / "file", b"newer")  # the torn draft is in nobody's way
    assert (tmp_path / "file").read_bytes() == b"newer"

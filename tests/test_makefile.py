"""The Makefile installs what a command needs and no more, from a fresh clone too."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def installs(folder: Path, target: str) -> list[str]:
    """Name what `make` would install for a target, in its order; nothing is done."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "--dry-run", target]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return [line.rpartition(" ")[2].strip("'") for line in done.stdout.splitlines() if "pip install" in line]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone without an environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("target", "installed"),
    [
        ("run", ["."]),
        ("setup", ["."]),
        ("test", [".", ".[dev]"]),
        ("lint", [".", ".[dev]"]),
        ("tools", [".", ".[dev]"]),
    ],
)
def test_a_fresh_clone_gets_what_the_command_needs(clone: Path, target: str, installed: list[str]) -> None:
    assert installs(clone, target) == installed


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_what_is_installed_is_not_installed_again(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()
    assert installs(clone, "run") == []
    assert installs(clone, "test") == [".[dev]"]
    (clone / ".venv" / ".tools").touch()
    assert installs(clone, "test") == []
    later = (clone / ".venv" / ".tools").stat().st_mtime + 10
    os.utime(clone / "pyproject.toml", (later, later))
    assert installs(clone, "test") == [".", ".[dev]"]

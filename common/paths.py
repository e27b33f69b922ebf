"""Paths that a user's settings name."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

# Made absolute at the first check, since a run's processes need not share a working folder.
UserPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


def reachable(path: Path) -> bool:
    """Say whether a file or folder is there; one within a folder that is closed to this user is not."""
    try:
        return path.exists()
    except OSError:  # which `exists` lets through, but for a few
        return False

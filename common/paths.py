"""Paths that a user's settings name."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

# Made absolute at the first check, since a run's processes need not share a working folder.
UserPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]

"""Where drawn images go: one file with a grid, or a folder with one file for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from PIL import Image

from fedphd.common.errors import SettingError
from fedphd.launch.sample.grid import grid_of

OPTION = "--out"


@dataclass(frozen=True)
class Outlet:
    """A file for a grid, or a folder.

    Attributes
    ----------
    path : Path
        Where it is.
    is_grid : bool
        Whether it is a file.
    """

    path: Path
    is_grid: bool

    @classmethod
    def of(cls, given: str) -> "Outlet":
        """Make sense of what the user gives, before anything is drawn.

        A name that ends in / or has no ending is a folder.

        Raises
        ------
        SettingError
            If Pillow writes no such files, the folder is not empty, or nothing can be written there.
        """
        path = Path(given).expanduser()
        _check_writable(path, given)
        if given.endswith("/") or path.is_dir() or not path.suffix:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise SettingError(OPTION, given, "is there already and not an empty folder; give a new one")
            return cls(path, False)
        if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
            raise SettingError(OPTION, given, f"Pillow writes no {path.suffix} files; use .png, or FOLDER/")
        return cls(path, True)

    def save(self, images: Sequence[Image.Image], classes: Sequence[str]) -> str:
        """Write the images, and say where.

        Parameters
        ----------
        images : Sequence[Image]
            All drawn ones.
        classes : Sequence[str]
            The name of each one's class; empty if none was asked for.
        """
        if self.is_grid:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            grid_of(images).save(self.path)
            return f"{self.path}: {len(images)} images"
        self.path.mkdir(parents=True, exist_ok=True)
        digits = len(str(len(images) - 1))
        for number, image in enumerate(images):
            ending = f"_{_in_file_name(classes[number])}" if classes else ""
            image.save(self.path / f"{number:0{digits}d}{ending}.png")
        return f"{self.path}: {len(images)} images"


def _check_writable(path: Path, given: str) -> None:
    """Try to write beside what is there, or where a new folder would come; nothing is left."""
    try:
        if path.is_file():
            with path.open("ab"):
                return
        with TemporaryFile(dir=next(one for one in (path, *path.absolute().parents) if one.exists())):
            return
    except OSError as error:
        raise SettingError(OPTION, given, f"cannot be written ({error.strerror}); give another place") from error


def _in_file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)[:64]

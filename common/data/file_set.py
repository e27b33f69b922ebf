"""A data set of the user's own files, which every holder may have elsewhere, and other ones."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from fedphd.common.data.data_set import WhichImages, check_exists, given
from fedphd.common.data.held_out import HeldOutShare
from fedphd.common.errors import SettingError
from fedphd.common.paths import UserPath


class FileSet(HeldOutShare):
    """Images in a file or folder at `path`.

    Attributes
    ----------
    path : Path
        The file or folder. With `partition=own` a folder that has one entry for each holder: ``root`` for the images
        that the root evaluates with, ``client-0`` and so on, each followed by `suffix`.
    suffix : str
        What a holder's entry is called beyond the holder's name.
    """

    path: WhichImages[Annotated[UserPath, given("the path of its images: data.path=/path/to/images")]]
    suffix: ClassVar[str] = ""

    def at(self, path: Path) -> Self:
        """Give the same data set at another path."""
        return self.model_copy(update={"path": path})

    def of(self, holder: str) -> Self:
        """Give the data set of a holder's own images, below `path`."""
        return self.at(self.path / f"{holder}{self.suffix}")

    def check_there(self) -> None:
        """Check that the file or folder is on this machine.

        Raises
        ------
        SettingError
            If it is not.
        """
        check_exists("data.path", self.path)

    def unusable(self, advice: str) -> SettingError:
        """Make the error that says what is wrong with what is at `path`."""
        return SettingError("data.path", self.path, advice)

"""A public data set in the files that its makers give, below a folder."""

from pathlib import Path
from typing import Annotated, Self

from fedphd.common.choices import Affects
from fedphd.common.data.data_set import DataSet, check_exists, given
from fedphd.common.paths import UserPath


class RootSet(DataSet):
    """Images in files below `root`.

    Attributes
    ----------
    root : Path
        The folder that holds the data set's own.
    """

    root: Annotated[UserPath, given("the path of its images: data.root=/path/to/images"), Affects.NOTHING]

    def at(self, path: Path) -> Self:
        """Give the same data set below another folder."""
        return self.model_copy(update={"root": path})

    def check_there(self) -> None:
        """Check that the folder is on this machine.

        Raises
        ------
        SettingError
            If it is not.
        """
        check_exists("data.root", self.root)

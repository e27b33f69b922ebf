"""A public data set that torchvision reads, and downloads if asked to."""

from pathlib import Path
from typing import Annotated, Any, Self

from fedphd.common.choices import Affects
from fedphd.common.data.data_set import DataSet, check_exists, given
from fedphd.common.errors import SettingError
from fedphd.common.paths import UserPath


class TorchvisionSet(DataSet):
    """Images in torchvision's files below `root`.

    Attributes
    ----------
    root : Path
        The folder that holds torchvision's own, or where to put it.
    download : bool
        Fetch the files if they are missing.
    """

    root: Annotated[UserPath, given("the path of its images: data.root=/path/to/images"), Affects.NOTHING]
    download: Annotated[bool, Affects.NOTHING] = False

    def at(self, path: Path) -> Self:
        """Give the same data set below another folder."""
        return self.model_copy(update={"root": path})

    def check_there(self) -> None:
        """Check that the folder is on this machine, if nothing will be downloaded.

        Raises
        ------
        SettingError
            If it is not.
        """
        if not self.download:
            check_exists("data.root", self.root)

    def open(self, dataset: Any, needed: str, **options: object) -> Any:
        """Open a class of `torchvision.datasets`; the ways in which its files can be broken end in one kind of error.

        Parameters
        ----------
        dataset : type
            The class.
        needed : str
            What `root` must hold, for the error.
        options : object
            The class's own arguments, such as those that say which images.

        Raises
        ------
        SettingError
            If `root` does not hold it, or it cannot be downloaded.
        """
        try:
            return dataset(str(self.root), download=self.download, **options)
        except (RuntimeError, OSError, ValueError, TypeError, AssertionError, KeyError) as error:
            cause = str(error).split("\n")[0].split(". ")[0] or "a file of it is damaged"
            advice = f"must hold {needed} ({cause.rstrip('.')}); give their folder, or set data.download=true"
            raise SettingError("data.root", self.root, advice) from None

"""A public data set that torchvision reads, and downloads if asked to."""

from typing import Annotated, Any

import numpy as np

from fedphd.common.choices import Affects
from fedphd.common.data.images import ArrayImages
from fedphd.common.data.root_set import RootSet
from fedphd.common.errors import SettingError


class TorchvisionSet(RootSet):
    """Images in torchvision's files below `root`.

    Attributes
    ----------
    root : Path
        The folder that holds torchvision's own, or where to put it.
    download : bool
        Fetch the files if they are missing.
    """

    download: Annotated[bool, Affects.NOTHING] = False

    def check_there(self) -> None:
        """Check that the folder is on this machine, if nothing will be downloaded.

        Raises
        ------
        SettingError
            If it is not.
        """
        if not self.download:
            super().check_there()

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
            instead = "" if self.download else ", or set data.download=true"
            advice = f"must hold {needed} ({cause.rstrip('.')}); give their folder{instead}"
            raise SettingError("data.root", self.root, advice) from None


def as_images(opened: Any, channels: int) -> ArrayImages:
    """Take the images of an opened class of `torchvision.datasets` that holds them in memory.

    Parameters
    ----------
    opened : Dataset
        Its `data` has shape (N, H, W) or (N, H, W, C), uint8; its `targets` are the class numbers.
    channels : int
        C.
    """
    pixels = np.asarray(opened.data)
    pixels = np.ascontiguousarray(np.moveaxis(pixels.reshape(*pixels.shape[:3], channels), 3, 1))
    return ArrayImages(np.asarray(opened.targets, np.int64), tuple(opened.classes), pixels.shape[1:], pixels)

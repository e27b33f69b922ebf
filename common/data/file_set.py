"""A data set of the user's own files, which every holder may have elsewhere, and other ones."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from fedphd.common.data.data_set import DataSet, WhichImages, check_exists, given
from fedphd.common.data.images import Indices, Split
from fedphd.common.errors import SettingError
from fedphd.common.paths import UserPath
from fedphd.common.training.seeding import numpy_rng


class FileSet(DataSet):
    """Images in a file or folder at `path`.

    Attributes
    ----------
    path : Path
        The file or folder. With `partition=own` a folder that has one entry for each holder: ``root`` for the images
        that the root evaluates with, ``client-0`` and so on, each followed by `suffix`.
    holdout : float
        Share of the images to hold out.
    suffix : str
        What a holder's entry is called beyond the holder's name.
    """

    path: WhichImages[Annotated[UserPath, given("the path of its images: data.path=/path/to/images")]]
    holdout: WhichImages[Annotated[float, Field(ge=0, lt=1)]] = 0.0
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

    def share(self, available: int, split: Split, seed: int) -> Indices:
        """Draw which of so many images are held out, and give those of the split, in file order.

        Raises
        ------
        SettingError
            If `holdout` leaves no image for the split.
        """
        held_out = round(available * self.holdout)
        if split == "train" and held_out == available:
            advice = f"leaves no image to train on of {available}; use a smaller share"
            raise SettingError("data.holdout", self.holdout, advice)
        if split == "holdout" and held_out == 0:
            raise SettingError("data.holdout", self.holdout, f"holds out no image of {available}; use a larger share")
        order = numpy_rng(seed, "data", "holdout").permutation(available)
        return np.sort(order[held_out:] if split == "train" else order[:held_out])

    def unusable(self, advice: str) -> SettingError:
        """Make the error that says what is wrong with what is at `path`."""
        return SettingError("data.path", self.path, advice)

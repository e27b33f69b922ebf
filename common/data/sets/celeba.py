"""CelebA with the classes of FedPhD and of FedDiffuse."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from fedphd.common.data.cache import CachedSet
from fedphd.common.data.data_set import DATA_SETS, WhichImages
from fedphd.common.data.decoded import FileImages
from fedphd.common.data.images import Indices, Split
from fedphd.common.data.torchvision_set import TorchvisionSet
from fedphd.common.errors import SettingError

log = logging.getLogger(__name__)

FOLDER = "celeba"  # torchvision's
IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
PARTS = {"train": 0, "holdout": 2}  # the official numbers of train and test; 1 is validation
# In the order of FedDiffuse's authors: an image with two of them is of the first.
HAIR = ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair")
NAMES = {
    "male_young": ("female, old", "female, young", "male, old", "male, young"),
    "male_young_hair": tuple(
        f"{sex}, {age}, {hair} hair"
        for sex in ("male", "female")
        for age in ("young", "old")
        for hair in ("black", "brown", "blond", "gray")
    ),
}
NO_CLASS = -1

Table = NDArray[np.str_]


@DATA_SETS.register("celeba")
class CelebA(CachedSet, TorchvisionSet):
    """CelebA's aligned faces: the official training split, and the official test split held out.

    Attributes
    ----------
    size : int
        Side in pixels: the shorter side is resized to it, then the middle is cut out.
    crop : int or None
        Side of the middle that is cut out before, of 178 x 218 pixels: None as FedPhD, 178 as FedDiffuse.
    labels : {"male_young", "male_young_hair"}
        Classes: 2 * Male + Young (FedPhD's 4), or sex, age and hair colour (FedDiffuse's 16); images without one of
        the four hair colours are then left out.
    """

    size: WhichImages[PositiveInt] = 64
    crop: WhichImages[Annotated[int, Field(ge=1, le=178)] | None] = None
    labels: WhichImages[Literal["male_young", "male_young_hair"]] = "male_young"

    @property
    def source(self) -> Path:
        """The folder that torchvision keeps them in."""
        return self.root / FOLDER

    def read(self, split: Split, seed: int) -> FileImages:  # noqa: ARG002
        """List the images of a split; the lists and the unzipped images are enough, whatever else torchvision wants.

        Raises
        ------
        SettingError
            If `root` does not hold them, or they cannot be downloaded.
        """
        folder = self.root / FOLDER
        if not all((folder / name).exists() for name in (IMAGES, ATTRIBUTES, PARTITION)):
            self._fetch()
        partition = self._table(PARTITION, ["file", "part"])
        attributes = self._table(ATTRIBUTES, ["file", "Male", "Young", *HAIR], header=1)
        if not np.array_equal(partition[:, 0], attributes[:, 0]):
            raise self._damaged(f"{ATTRIBUTES} and {PARTITION} do not list the same files")
        chosen = partition[:, 1] == str(PARTS[split])
        classes = _classes(attributes[chosen, 1:] == "1", self.labels)
        kept = classes != NO_CLASS
        if not kept.all():
            log.info("celeba: %d of %d images have no hair colour and are left out", (~kept).sum(), len(kept))
        files = np.char.add(f"{folder / IMAGES}/", partition[chosen, 0][kept])
        shape = (3, self.size, self.size)
        return FileImages(classes[kept], NAMES[self.labels], shape, files, "data.root", crop=self.crop)

    def _fetch(self) -> None:
        from torchvision import datasets  # noqa: PLC0415  (imports torch)

        self.open(datasets.CelebA, f"{FOLDER}/ with {IMAGES}, {ATTRIBUTES} and {PARTITION}")

    def _table(self, name: str, wanted: list[str], header: int | None = None) -> Table:
        """Read columns of a list of files, shape (N, columns); the first column is the file's name."""
        try:
            with (self.root / FOLDER / name).open() as lines:
                columns = list(range(len(wanted)))
                if header is not None:
                    next(lines)
                    names = ["file", *next(lines).split()]
                    columns = [names.index(one) for one in wanted]
                return np.loadtxt(lines, str, usecols=columns, ndmin=2)
        except (OSError, ValueError, StopIteration) as error:
            raise self._damaged(f"{name} cannot be read ({error})") from None

    def _damaged(self, what: str) -> SettingError:
        return SettingError("data.root", self.root, f"{what}; give the folder of CelebA's original lists")


def _classes(has: NDArray[np.bool_], labels: str) -> Indices:
    """Compute the class of each image from whether it is Male, Young, and of each hair colour, shape (N, 6)."""
    male, young, hair = has[:, 0], has[:, 1], has[:, 2:]
    if labels == "male_young":
        return 2 * male.astype(np.int64) + young
    numbers = 8 * ~male + 4 * ~young + hair.argmax(axis=1)
    return np.where(hair.any(axis=1), numbers, NO_CLASS).astype(np.int64)

"""A folder with one subfolder of image files for each class."""

from typing import Annotated, Self

import numpy as np
from pydantic import PositiveInt

from fedphd.common.data.data_set import DATA_SETS, WhichImages, given
from fedphd.common.data.decoded import FileImages
from fedphd.common.data.file_set import FileSet
from fedphd.common.data.images import Split


@DATA_SETS.register("folder")
class Folder(FileSet):
    """Image files that Pillow reads, one subfolder for each class, as torchvision's ImageFolder.

    Attributes
    ----------
    size : int
        Side in pixels: the shorter side is resized to it, then the middle is cut out.
    empty_classes : bool
        Allow subfolders without images.
    """

    size: WhichImages[Annotated[PositiveInt, given("the side in pixels to which images are resized")]]
    empty_classes: bool = False

    def of(self, holder: str) -> Self:
        """Give the folder of a holder's own images, which need not be of every class."""
        return super().of(holder).model_copy(update={"empty_classes": True})

    def read(self, split: Split, seed: int) -> FileImages:
        """List the files; a share `holdout` of them, drawn by `seed`, is held out.

        Raises
        ------
        SettingError
            If the folder has no subfolders, or one of them holds no image without `empty_classes`.
        """
        from torchvision.datasets import ImageFolder  # noqa: PLC0415  (imports torch)

        try:
            found = ImageFolder(str(self.path), allow_empty=self.empty_classes or self.classes is not None)
        except OSError as error:
            cause = str(error).split("\n")[0].rstrip(".")
            advice = f"needs one subfolder for each class, each with images in it ({cause})"
            raise self.unusable(advice) from None
        files = np.asarray([file for file, _ in found.samples])
        labels, names = self.numbered(np.asarray(found.targets, np.int64), tuple(found.classes))
        images = FileImages(labels, names, (3, self.size, self.size), files, "data.path")
        return images.subset(self.share(len(images), split, seed))

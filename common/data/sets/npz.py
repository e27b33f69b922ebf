"""A NumPy archive of images and class numbers, or one array of images."""

from typing import ClassVar

import numpy as np

from fedphd.common.data.arrays.archive import Archive, ArchiveError
from fedphd.common.data.arrays.contents import Contents
from fedphd.common.data.arrays.labels import gap_note, number_classes
from fedphd.common.data.arrays.stored import Stored, StoredImages, is_deep, range_in
from fedphd.common.data.data_set import DATA_SETS, WhichImages
from fedphd.common.data.decoded import file_stamp
from fedphd.common.data.decoding.colour import parse_colour
from fedphd.common.data.decoding.depth import Depth, Range, given_range
from fedphd.common.data.decoding.options import BackgroundOption, DepthOption
from fedphd.common.data.file_set import FileSet
from fedphd.common.data.images import Split


@DATA_SETS.register("npz")
class Npz(FileSet):
    """Images in arrays of an ``.npz`` archive, by the names that people usually give them, or of an ``.npy`` file.

    The held-out images are the archive's own (`test_x`, or `val_x`) where it has them; otherwise a share `holdout` of
    the training images, drawn by `seed`. Labels are read without the images. Nothing is unpickled.

    Attributes
    ----------
    images, labels : str or None
        Names of the arrays, where they are not usual ones.
    depth : "auto", int or tuple[float, float]
        Which values become 0 and 255, where they are not of 8 bits: by the usual rule, of so many bits, or these.
    background : str
        The colour behind transparent pixels.
    """

    suffix: ClassVar[str] = ".npz"

    images: WhichImages[str | None] = None
    labels: WhichImages[str | None] = None
    depth: WhichImages[DepthOption] = "auto"
    background: WhichImages[BackgroundOption] = "white"

    def read(self, split: Split, seed: int) -> StoredImages:
        """Read the labels of the archive, and what its images are.

        Raises
        ------
        SettingError
            If the file cannot be read, it is not plain what its arrays are, or an array has a wrong type or shape.
        """
        try:
            contents = Contents.of(self.path, self.images, self.labels)
            labels, names = number_classes(contents.labels(), self.classes)
            depth, notes = self._depth(contents.archive, list(contents.layouts))
        except ArchiveError as error:
            raise self.unusable(str(error)) from None
        own = contents.parts.holdout is not None
        chosen = 1 if own and split == "holdout" else 0
        numbers, classes = self.numbered(labels[chosen], names)
        array = contents.parts.all[chosen].images
        stored = Stored(
            self.path, file_stamp(self.path), array, contents.layouts[array], depth, parse_colour(self.background)
        )
        notes = [*contents.notes(self.background), *notes]
        if self.classes is None:
            notes += gap_note(names)
        found = StoredImages(numbers, classes, contents.shape, stored, np.arange(len(numbers)), notes=tuple(notes))
        return found if own else found.subset(self.share(len(found), split, seed))

    def _depth(self, archive: Archive, arrays: list[str]) -> tuple[Depth, list[str]]:
        """Choose which values become 0 and 255, and say so."""
        if isinstance(self.depth, int | tuple):
            given = given_range(self.depth)
            deep = [name for name in arrays if is_deep(archive.heads[name].dtype)]
            return Depth(given, given), [_of_given(given, deep)]
        found = range_in(archive, arrays)
        if found is None:
            return Depth(), []
        seen, chosen = found
        same = (chosen.low, chosen.high) == (0, 255)
        note = f"values {chosen} became 0 to 255 ({' and '.join(arrays)} hold {seen}); data.depth sets other ends"
        return Depth(chosen, chosen), [] if same else [note]


def _of_given(given: Range, deep: list[str]) -> str:
    """Say what the range that the user gives does."""
    if not deep:
        return "data.depth has no effect: no array has more than 8 bits"
    beyond = "" if given.strict else "; values beyond are taken for the nearest end"
    return f"values {given} of {' and '.join(deep)} became 0 to 255, as data.depth says{beyond}"

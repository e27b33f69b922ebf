"""What a NumPy file holds as a set of images: which arrays, laid out how, with which labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedphd.common.data.arrays.archive import Archive, ArchiveError
from fedphd.common.data.arrays.labels import Values, label_values
from fedphd.common.data.arrays.layout import Layout, channels_in, layout_of, size_in
from fedphd.common.data.arrays.naming import Part, Parts, find_parts
from fedphd.common.data.class_list import ONE_CLASS

PLAIN = {"train_x", "train_y", "test_x", "test_y"}  # names that need no note
OPAQUE = {1: 1, 2: 1, 3: 3, 4: 3}  # channels without transparency, by all channels


@dataclass(frozen=True)
class Contents:
    """The images of a NumPy file, as far as they are known without reading their pixels.

    Attributes
    ----------
    archive : Archive
        The file.
    parts : Parts
        Its arrays of images, and of their labels.
    layouts : dict[str, Layout]
        Where the channels of each array of images are.
    shape : tuple[int, int, int]
        (C, H, W) of every image, once it lies on a background.
    """

    archive: Archive
    parts: Parts
    layouts: dict[str, Layout]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, path: Path, images: str | None, labels: str | None) -> "Contents":
        """Open a file and find its images.

        Parameters
        ----------
        path : Path
            The file.
        images, labels : str or None
            Names of the arrays, where they are not usual ones.

        Raises
        ------
        ArchiveError
            If it cannot be read, it is not plain what its arrays are, or they do not fit together.
        """
        archive = Archive(path)
        parts = find_parts(archive.heads, images, labels)
        layouts = {part.images: layout_of(part.images, archive.heads[part.images].shape) for part in parts.all}
        shapes = {name: _shape(archive, name, layout) for name, layout in layouts.items()}
        if len(set(shapes.values())) > 1:
            told = " and ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
            raise ArchiveError(f"has images of two shapes, {told} (CxHxW); must be the same")
        for part in parts.all:
            _check_counts(archive, part)
        return cls(archive, parts, layouts, shapes[parts.train.images])

    def labels(self) -> list[Values]:
        """Read the labels of each part; images without labels are all of one class.

        Raises
        ------
        ArchiveError
            If they are not one class for each image.
        """
        return [self._labels(part) for part in self.parts.all]

    def notes(self, background: str) -> list[str]:
        """Say which arrays were taken for what, where that is not plain from their names."""
        train, holdout = self.parts.train, self.parts.holdout
        taken = [f"{train} {train.verb} trained on"]
        if holdout is not None:
            taken.append(f"{holdout} {holdout.verb} held out")
        named = {name for part in self.parts.all for name in (part.images, part.labels) if name is not None}
        notes = [] if named <= PLAIN and not self.parts.unused else ["; ".join(taken)]
        if self.parts.unused:
            notes.append(f"not used: {', '.join(self.parts.unused)}")
        if train.labels is None:
            notes.append(f"there are no labels: all images are of one class, {ONE_CLASS}")
        if "first" in self.layouts.values():
            notes.append(f"the channels come first in {' and '.join(self.layouts)}")
        if any(channels_in(self.archive.heads[name].shape, one) in (2, 4) for name, one in self.layouts.items()):
            notes.append(f"transparent pixels show data.background={background}")
        return notes

    def _labels(self, part: Part) -> Values:
        if part.labels is None:
            return np.full(self.archive.heads[part.images].shape[0], ONE_CLASS)
        return label_values(part.labels, self.archive.read(part.labels))


def _shape(archive: Archive, name: str, layout: Layout) -> tuple[int, int, int]:
    shape = archive.heads[name].shape
    return (OPAQUE[channels_in(shape, layout)], *size_in(shape, layout))


def _check_counts(archive: Archive, part: Part) -> None:
    """Check that there is a label for each image."""
    images = archive.heads[part.images].shape[0]
    if part.labels is None:
        return
    shape = archive.heads[part.labels].shape
    labels = shape[0] if shape else 0
    if labels not in (0, images):  # none at all is told as such
        raise ArchiveError(f"{part.images} has {images} images, {part.labels} {labels} labels; must be as many")

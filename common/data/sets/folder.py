"""A folder of image files, with one subfolder for each class or none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import PositiveInt

from fedphd.common.data.cache import CachedSet
from fedphd.common.data.classes import Listing, list_classes
from fedphd.common.data.data_set import DATA_SETS, WhichImages, given
from fedphd.common.data.decoding.changes import change_of_colour, changes
from fedphd.common.data.decoding.colour import parse_colour
from fedphd.common.data.decoding.facts import Decoding, Page, Plane
from fedphd.common.data.decoding.kept import survey
from fedphd.common.data.decoding.options import BackgroundOption, DepthOption, WindowOption
from fedphd.common.data.decoding.survey import Survey
from fedphd.common.data.decoding.words import several, some
from fedphd.common.data.file_set import FileSet
from fedphd.common.data.folder_images import FolderImages
from fedphd.common.data.images import Split


@DATA_SETS.register("folder")
class Folder(CachedSet, FileSet):
    """Images in files of all kinds that Pillow reads, in DICOM and in NIfTI, one subfolder for each class or none.

    Attributes
    ----------
    size : int
        Side in pixels: the shorter side is resized to it, then the middle is cut out.
    channels : int or None
        1 grey, 3 colour; None: grey if all images are.
    depth : "auto", int or (float, float)
        What becomes 0 to 255 of images of more than 8 bits: the usual range that holds the values of all of them
        (`usual_range`); 0 to 2^depth - 1, beyond which nothing may be; or from low to high.
    background : str
        The colour on which transparent images lie.
    window : "file", (float, float) or None
        Of DICOM and NIfTI, in their own units: what the file says; centre and width; None: the whole `depth`.
    slices : {"one", "all"}
        Of files of several pages: the first page, or the middle frame or slice; or each an image of its own.
    plane : {"axial", "coronal", "sagittal"}
        Through which NIfTI's volumes are cut.
    empty_classes : bool
        Allow subfolders without images.
    """

    size: WhichImages[Annotated[PositiveInt, given("the side in pixels to which images are resized")]]
    channels: WhichImages[Literal[1, 3] | None] = None
    depth: WhichImages[DepthOption] = "auto"
    background: WhichImages[BackgroundOption] = "white"
    window: WhichImages[WindowOption] = "file"
    slices: WhichImages[Literal["one", "all"]] = "one"
    plane: WhichImages[Plane] = "axial"
    empty_classes: bool = False

    @property
    def source(self) -> Path:
        """The folder."""
        return self.path

    def of(self, holder: str) -> Self:
        """Give the folder of a holder's own images, which need not be of every class."""
        return super().of(holder).model_copy(update={"empty_classes": True})

    @property
    def _given(self) -> int | tuple[float, float] | None:
        """The depth that the user gives."""
        return None if isinstance(self.depth, str) else self.depth

    def read(self, split: Split, seed: int) -> FolderImages:
        """List the files and look at what they are; a share `holdout` of them, drawn by `seed`, is held out.

        Raises
        ------
        SettingError
            If the folder has no images or not as it must, or some of them cannot be read.
        """
        listing = list_classes(self.path, self.empty_classes or self.classes is not None, self.unusable)
        measure, every_page = self.depth == "auto", self.slices == "all"
        plain = Decoding(background=parse_colour(self.background), window=self.window, plane=self.plane)
        found = survey(listing.files, plain, every_page=every_page, measure=measure, folder=self.kept_at)
        images = self._images(listing, found, plain)
        if found.failures:
            images.check()  # which tells of all that cannot be read, also of those that look well from outside
            raise images.unreadable(found.failures)
        return images.subset(self.share(len(images), split, seed))

    def _images(self, listing: Listing, found: Survey, plain: Decoding) -> FolderImages:
        pages = list(self._pages(listing, found))
        sources = np.empty(len(pages), object)
        sources[:] = [source for source, _ in pages]
        channels = self.channels or (1 if found.grey else 3)
        depth = found.depth(self._given)
        labels, names = self.numbered(np.asarray([label for _, label in pages], np.int64), listing.names)
        return FolderImages(
            labels,
            names,
            (channels, self.size, self.size),
            sources,
            "data.path",
            decoding=Decoding(depth, plain.background, plain.window, plain.plane),
            notes=(*listing.notes, *self._changes(found, plain, channels)),
        )

    def _pages(self, listing: Listing, found: Survey) -> Iterator[tuple[str | Page, int]]:
        """Give what each image is decoded from, and its class."""
        without = set(found.no_images)
        for path, label in zip(listing.files, listing.labels, strict=True):
            pages = found.facts[path].pages if path in found.facts else 1
            if self.slices == "all" and pages > 1:
                yield from ((Page(path, number), label) for number in range(pages))
            elif path not in without:
                yield path, label

    def _changes(self, found: Survey, plain: Decoding, channels: int) -> Iterator[str]:
        if found.no_images:
            named = some(Path(path).name for path in found.no_images)
            yield f"{several(len(found.no_images), 'DICOM file')} without an image left out ({named})"
        yield from change_of_colour(found, self.channels, channels)
        depth = found.depth(self._given)
        yield from changes(
            found,
            depth,
            given=self.depth != "auto",
            window=plain.window,
            background=self.background,
            every_page=self.slices == "all",
        )

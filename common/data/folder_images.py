"""Images in files of any kind that we read, of which one file may give several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fedphd.common.data.decoded import FileImages
from fedphd.common.data.decoding.dicom import open_dicom
from fedphd.common.data.decoding.facts import Page
from fedphd.common.data.decoding.formats import Kind, kind_of
from fedphd.common.data.decoding.nifti import open_nifti
from fedphd.common.data.decoding.pictures import open_upright

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class FolderImages(FileImages):
    """Images in files below a folder: `sources` are paths, or a `Page` where every page of a file is an image."""

    any_channels: ClassVar[bool] = True

    def open(self, source: Any) -> Image:
        """Open a page; of a path the first page, or the middle frame or slice."""
        path, number = (source.path, source.number) if isinstance(source, Page) else (str(source), None)
        match kind_of(path):
            case Kind.DICOM:
                return open_dicom(path, number, self.decoding)
            case Kind.NIFTI:
                return open_nifti(path, number, self.decoding)
        return open_upright(path, number or 0, self.decoding.depth)

"""A look at all files of a set before any is decoded: what they are, and the one range of those with many bits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fedphd.common.data.decoding.depth import Depth, Range, around, given_range, usual_range
from fedphd.common.data.decoding.dicom import NoImageError, look_at_dicom
from fedphd.common.data.decoding.facts import Decoding, Facts
from fedphd.common.data.decoding.formats import Kind, kind_of
from fedphd.common.data.decoding.nifti import look_at_nifti
from fedphd.common.data.decoding.pictures import look_at_picture
from fedphd.common.data.decoding.quiet import quiet
from fedphd.common.data.decoding.words import cause
from fedphd.common.errors import SettingError


class Stamped(NamedTuple):
    """A file as it is now: another size or time is another file."""

    path: str
    size: int
    changed: int


@dataclass(frozen=True)
class Survey:
    """What is known of files.

    Attributes
    ----------
    facts : dict[str, Facts]
        Of each file that is an image, by its path.
    no_images : tuple[str, ...]
        Files that turned out to hold none.
    failures : dict[str, str]
        Why a file cannot be read, by its path.
    """

    facts: dict[str, Facts]
    no_images: tuple[str, ...]
    failures: dict[str, str]

    @property
    def grey(self) -> bool:
        """Whether all images are grey."""
        return all(facts.grey for facts in self.facts.values())

    def seen(self, *, whole: bool) -> list[Range]:
        """Give the lowest and highest value of each deep image of whole numbers, or of fractions."""
        return [facts.seen for facts in self.facts.values() if facts.seen is not None and facts.whole == whole]

    def depth(self, given: int | tuple[float, float] | None) -> Depth:
        """Choose the ranges: as given, or the usual ones (`data.depth`)."""
        if given is not None:
            return Depth(given_range(given), given_range(given))
        whole, fractions = (around(self.seen(whole=one)) for one in (True, False))
        return Depth(
            None if whole is None else usual_range(whole, whole=True),
            None if fractions is None else usual_range(fractions, whole=False),
        )


def stamped(path: str) -> Stamped:
    """Say of which size and time a file is; of one that is not there, looking at it will tell."""
    try:
        found = Path(path).stat()
    except OSError:
        return Stamped(path, 0, 0)
    return Stamped(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=8)  # the images to train on and those held out come from the same files
def survey_of(files: tuple[Stamped, ...], decoding: Decoding, every_page: bool, measure: bool) -> Survey:
    """Look at files, as `survey` of the module `kept`."""
    facts: dict[str, Facts] = {}
    no_images, failures = [], {}
    with quiet():
        for file in files:
            try:
                facts[file.path] = _look(file.path, decoding, every_page, measure)
            except NoImageError:
                no_images.append(file.path)
            except SettingError:
                raise
            except Exception as error:  # a file can make its reader raise anything
                failures[file.path] = cause(error)
    return Survey(facts, tuple(no_images), failures)


def _look(path: str, decoding: Decoding, every_page: bool, measure: bool) -> Facts:
    match kind_of(path):
        case Kind.DICOM:
            return look_at_dicom(path, decoding, every_page=every_page, measure=measure)
        case Kind.NIFTI:
            return look_at_nifti(path, decoding, measure=measure)
        case _:
            return look_at_picture(path, every_page=every_page, measure=measure)

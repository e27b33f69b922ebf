"""A data set of the user's own files, which every holder may have elsewhere, and other ones."""

from pathlib import Path
from typing import Annotated, ClassVar, Self
from unicodedata import normalize

import numpy as np
from pydantic import BeforeValidator

from fedphd.common.data.data_set import WhichImages, check_exists, given
from fedphd.common.data.held_out import HeldOutShare
from fedphd.common.data.holders import ROOT
from fedphd.common.data.images import Indices
from fedphd.common.errors import SettingError
from fedphd.common.paths import UserPath


def _as_names(given: object) -> object:
    """Take class names that YAML reads as numbers, as 0 and 1, for the text that they are, in one form of Unicode."""
    if given is None:
        return None
    if not isinstance(given, list | tuple) or not given or not all(map(_is_name, given)):
        raise SettingError("data.classes", _told(given), "must be a list of names, [cat,dog], or null")
    names = [normalize("NFC", str(name)) for name in given]
    if len(set(names)) < len(names):
        raise SettingError("data.classes", _told(given), "has a name twice; give each class once")
    return names


def _is_name(given: object) -> bool:
    return isinstance(given, str | int) and not isinstance(given, bool) and given != ""


def _told(given: object) -> object:
    return f"[{','.join(map(str, given))}]" if isinstance(given, list | tuple) else given


class FileSet(HeldOutShare):
    """Images in a file or folder at `path`.

    Attributes
    ----------
    path : Path
        The file or folder. With `partition=own` a folder that has one entry for each holder: ``root`` for the images
        that the root evaluates with, ``client-0`` and so on, each followed by `suffix`.
    classes : tuple[str, ...] or None
        Names of all classes, in the order of their numbers; a holder that has an image of another one is refused. None:
        the classes that are found.
    suffix : str
        What a holder's entry is called beyond the holder's name.
    """

    path: WhichImages[Annotated[UserPath, given("the path of its images: data.path=/path/to/images")]]
    classes: WhichImages[Annotated[tuple[str, ...] | None, BeforeValidator(_as_names)]] = None
    suffix: ClassVar[str] = ""

    def at(self, path: Path) -> Self:
        """Give the same data set at another path."""
        return self.model_copy(update={"path": path})

    def of(self, holder: str) -> Self:
        """Give the data set of a holder's own images, below `path`; clients train on all of theirs."""
        own = self.at(self.path / f"{holder}{self.suffix}")
        return own if holder == ROOT else own.model_copy(update={"holdout": 0.0})

    @property
    def fixed_classes(self) -> tuple[str, ...] | None:
        """The classes that the user lists."""
        return self.classes

    def check_there(self) -> None:
        """Check that the file or folder is on this machine.

        Raises
        ------
        SettingError
            If it is not.
        """
        check_exists("data.path", self.path)

    def numbered(self, labels: Indices, found: tuple[str, ...]) -> tuple[Indices, tuple[str, ...]]:
        """Give classes their numbers in `classes`, where the user lists them.

        Parameters
        ----------
        labels : NDArray[int64]
            Class of each image by its number in `found`, shape (N,).
        found : tuple[str, ...]
            Names of the classes that were found.

        Returns
        -------
        tuple[NDArray[int64], tuple[str, ...]]
            Class numbers, shape (N,), and the name of each number.

        Raises
        ------
        SettingError
            If there is no image, or one is of a class that `classes` lacks.
        """
        if len(labels) == 0:
            raise self.unusable("holds no image; give at least one")
        if self.classes is None:
            return labels, found
        counts = np.bincount(labels, minlength=len(found))
        strange = {name: count for name, count in zip(found, counts, strict=True) if count and name not in self.classes}
        if strange:
            name, count = next(iter(strange.items()))
            images = "an image" if count == 1 else f"{count} images"
            others = len(strange) - 1
            more = f", and of {others} more such {'class' if others == 1 else 'classes'}" if others else ""
            advice = f"{self.path.name} has {images} of class {name}{more}; add it, or remove its images"
            raise SettingError("data.classes", f"[{','.join(self.classes)}]", advice)
        numbers = {name: number for number, name in enumerate(self.classes)}
        by_found = np.asarray([numbers.get(name, -1) for name in found], np.int64)
        return by_found[labels], self.classes

    def unusable(self, advice: str) -> SettingError:
        """Make the error that says what is wrong with what is at `path`."""
        return SettingError("data.path", self.path, advice)

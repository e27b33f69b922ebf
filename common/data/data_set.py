"""What a data set is: a choice of the group `data`, which holds its own options and reads its images."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BeforeValidator, PositiveInt, ValidationInfo

from fedphd.common.choices import Affects, Choice, Choices
from fedphd.common.data.images import ImageSet, Split
from fedphd.common.errors import SettingError
from fedphd.common.paths import reachable

T = TypeVar("T")
# An option that says which images there are: a model is trained on them, and measured beside them.
WhichImages = Annotated[T, Affects.MODEL, Affects.MEASUREMENT]


class DataSet(Choice):
    """Labelled images, and where they are (`conf/data/`).

    Libraries that take long to import are imported within `read`: whoever only composes a configuration does without.

    Attributes
    ----------
    limit : int or None
        Use only this many training images; None: all. `load` sees to that.
    """

    kind: WhichImages[str]
    limit: WhichImages[PositiveInt | None] = None

    @abstractmethod
    def read(self, split: Split, seed: int) -> ImageSet:
        """Read the images to train on, or those held out for evaluation.

        Parameters
        ----------
        split : {"train", "holdout"}
            Which images. No image is in both.
        seed : int
            The run's seed, for a random holdout.

        Returns
        -------
        ImageSet
            All images of the split; a pure function of the options, the arguments and the files.

        Raises
        ------
        SettingError
            If the images are missing or broken.
        """

    @property
    def kept_at(self) -> Path | None:
        """Where images are kept once they are decoded; None: nowhere, as where nothing has to be decoded."""
        return None

    def keeping_at(self, folder: Path) -> Self:  # noqa: ARG002
        """Give the same data set with a place for decoded images, where it needs one and the user named none."""
        return self

    @abstractmethod
    def at(self, path: Path) -> Self:
        """Give the same data set, read from a client's own `data-path`; one that reads no files gives itself."""

    def of(self, holder: str) -> Self:  # noqa: ARG002
        """Give the data set of a holder's own images (`partition=own`), where each holder can bring some.

        Parameters
        ----------
        holder : str
            "root" or a client's id. A holder need not have images of every class.

        Raises
        ------
        SettingError
            If all holders have the same images, as here by default.
        """
        able = sorted(kind for kind in DATA_SETS.kinds if DATA_SETS.find(kind).of is not DataSet.of)
        advice = f"needs images of each client's own: data={' or '.join(able)}, not {self.kind}"
        raise SettingError("partition", "own", advice)

    @property
    def fixed_classes(self) -> tuple[str, ...] | None:
        """The classes that every holder names, whatever images it has; None: each names those that it has."""
        return None

    def check_there(self) -> None:
        """Check that images can be looked for at all.

        Raises
        ------
        SettingError
            If the file or folder that an option names is not on this machine.
        """


DATA_SETS = Choices("data", DataSet)  # type: ignore[type-abstract]


def given(needed: str) -> BeforeValidator:
    """Annotate an option that must not be null, with what the data set needs it for."""

    def check(value: object, info: ValidationInfo) -> object:
        if value is None:
            raise SettingError(f"data.{info.field_name}", None, f"data={info.data['kind']} needs {needed}")
        return value

    return BeforeValidator(check)


def check_exists(key: str, path: Path) -> None:
    """Check that a file or folder that a setting names is on this machine.

    Raises
    ------
    SettingError
        If it is not.
    """
    if not reachable(path):
        raise SettingError(key, path, "no such file or folder; give the path of your images")

"""Any set of images of the Hugging Face hub, or in a folder that its library reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, PositiveInt

from fedphd.common.data.cache import CachedSet
from fedphd.common.data.data_set import DATA_SETS, WhichImages, check_exists, given
from fedphd.common.data.held_out import HeldOutShare
from fedphd.common.data.images import Split
from fedphd.common.data.table import TableImages, check_columns, number_classes, open_table
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config


def _absolute(name: str) -> str:
    """Make a folder absolute, since a run's processes need not share a working folder; the hub's ids stay."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.is_dir() or name.startswith(("~", ".", "/")) else name


@DATA_SETS.register("hugging_face")
class HuggingFace(CachedSet, HeldOutShare):
    """Images that the library `datasets` reads.

    Attributes
    ----------
    name : str
        The hub's id, or a folder.
    subset, revision : str or None
        The hub's configuration, and its branch, tag or commit.
    train_split, holdout_split : str
        The splits.
    holdout : float or None
        Without the second split, the share of the first that is held out.
    image : str
        The column of images.
    label : str or None
        The column of classes; None: all images are of one.
    channels : int
        3 colour, 1 grey.
    size : int
        Side in pixels: the shorter side is resized to it, then the middle is cut out.
    """

    name: WhichImages[
        Annotated[str, AfterValidator(_absolute), given("a hub's id or a folder: data.name=/path/to/images")]
    ]
    subset: WhichImages[str | None] = None
    revision: WhichImages[str | None] = None
    train_split: WhichImages[str] = "train"
    holdout_split: WhichImages[str | None] = None
    holdout: WhichImages[Annotated[float, Field(ge=0, lt=1)] | None] = None  # type: ignore[assignment]
    image: WhichImages[str] = "image"
    label: WhichImages[str | None] = "label"
    channels: WhichImages[Literal[1, 3]] = 3
    size: WhichImages[PositiveInt] = 64

    @property
    def source(self) -> Path | None:
        """The folder, if it is one."""
        return Path(self.name) if self._is_folder else None

    def check(self, config: Config) -> None:
        """Check that the splits differ, that one thing says what is held out, and that a folder has no revision.

        Raises
        ------
        SettingError
            If not.
        """
        super().check(config)
        if self.holdout_split == self.train_split:
            advice = "is what is trained on; give another split, or null to hold out a share"
            raise SettingError("data.holdout_split", self.holdout_split, advice)
        if self.holdout is not None and self.holdout_split is not None:
            advice = f"has no effect with data.holdout_split={self.holdout_split}; set one of them to null"
            raise SettingError("data.holdout", self.holdout, advice)
        if self.holdout is None and self.holdout_split is None:
            raise SettingError(
                "data.holdout", None, "without data.holdout_split give the share to hold out; 0 for none"
            )
        if self._is_folder and self.revision is not None:
            raise SettingError("data.revision", self.revision, "a folder has no revisions; use null")

    def at(self, path: Path) -> Self:
        """Give the same data set in a folder."""
        return self.model_copy(update={"name": str(path), "revision": None})

    def check_there(self) -> None:
        """Check that the folder is on this machine, if it is one.

        Raises
        ------
        SettingError
            If it is not.
        """
        if self._is_folder:
            check_exists("data.name", Path(self.name))

    @property
    def _is_folder(self) -> bool:
        return Path(self.name).is_absolute()

    def read(self, split: Split, seed: int) -> TableImages:
        """Open the split; images are decoded when asked for.

        Raises
        ------
        SettingError
            If the library is not installed, cannot read the split, or a column is not as it must be.
        """
        named = [name for name in (self.train_split, self.holdout_split) if name is not None]
        tables = [open_table(self.name, self.subset, self.revision, name) for name in named]
        for table, name in zip(tables, named, strict=True):
            check_columns(table, name, self.image, self.label)
        numbers, names = number_classes(tables, self.label)
        chosen = -1 if split == "holdout" else 0
        table = tables[chosen].select_columns([self.image])
        shape = (self.channels, self.size, self.size)
        found = TableImages(numbers[chosen], names, shape, np.arange(len(table)), "data.name", table, self.name)
        return found if self.holdout_split is not None else found.subset(self.share(len(found), split, seed))

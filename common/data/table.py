"""Tables of images, as the Hugging Face library `datasets` opens them (the extra `hugging-face`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unicodedata import normalize

import numpy as np

from fedphd.common.data.class_list import ONE_CLASS
from fedphd.common.data.decoded import DecodedImages
from fedphd.common.data.decoding.depth import AN_IMAGE
from fedphd.common.data.decoding.pictures import is_deep
from fedphd.common.data.images import Indices
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from PIL.Image import Image

SAVED = ("dataset_dict.json", "state.json")  # one of them is where save_to_disk wrote
CLASSES = ("int", "uint", "bool", "string", "large_string")  # types of columns whose values can stand for classes


@dataclass(frozen=True, eq=False)
class TableImages(DecodedImages):
    """Images in the only column of a table: `sources` are its rows."""

    any_channels: ClassVar[bool] = True

    table: Any
    name: str

    def open(self, source: Any) -> Image:
        """Decode the image of a row.

        Raises
        ------
        SettingError
            If it has more than 8 bits, of which only a look at all images can tell how they become 8.
        """
        image: Image = self.table[int(source)][self.table.column_names[0]]
        if is_deep(image):
            advice = (
                "has more than 8 bits a channel, which are not scaled here; save them as files, and use data=folder"
            )
            raise SettingError("data", "hugging_face", f"{AN_IMAGE} {advice}")
        return image

    def stamp(self, source: Any) -> str:
        """Give the table's fingerprint, which `datasets` makes of its files and of what was done to it, with a row."""
        return f"{self.name}|{self.table._fingerprint}|{source}"

    def named(self, source: Any) -> object:
        """Name a row."""
        return f"{self.name}, row {source}"


def open_table(name: str, subset: str | None, revision: str | None, split: str) -> Any:
    """Open one split of a data set of the hub or in a folder.

    Raises
    ------
    SettingError
        If the library is not installed, or cannot read it.
    """
    try:
        import datasets  # noqa: PLC0415  (an optional dependency)
    except ImportError:
        advice = "the library datasets is not installed; install the extra: pip install 'fedphd[hugging-face]'"
        raise SettingError("data", "hugging_face", advice) from None
    try:
        if any((Path(name) / file).exists() for file in SAVED):
            saved = datasets.load_from_disk(name)
            splits = saved if isinstance(saved, dict) else {"train": saved}
            if subset is not None or split not in splits:
                raise ValueError(f"it has the splits {', '.join(splits)}, and no subsets")
            return splits[split]
        return datasets.load_dataset(name, subset, split=split, revision=revision)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        wanted = f"split {split}" if subset is None else f"split {split} of {subset}"
        cause = str(error).split("\n")[0].rstrip(".")
        raise SettingError(
            "data.name", name, f"{wanted} cannot be read ({cause}); see conf/data/hugging_face.yaml"
        ) from None


def check_columns(table: Any, split: str, image: str, label: str | None) -> None:
    """Check that a table has the columns, with images in the one and what can stand for classes in the other.

    Raises
    ------
    SettingError
        If not.
    """
    from datasets import ClassLabel, Image, Value  # noqa: PLC0415

    features = table.features
    for key, column in (("data.image", image), ("data.label", label)):
        if column is not None and column not in features:
            raise SettingError(key, column, f"{split} has no such column; it has {', '.join(features)}")
    if not isinstance(features[image], Image):
        raise SettingError("data.image", image, f"is no column of images but of {features[image]}")
    kind = None if label is None else features[label]
    if kind is None or isinstance(kind, ClassLabel) or (isinstance(kind, Value) and kind.dtype.startswith(CLASSES)):
        return
    raise SettingError("data.label", label, f"is no column of classes but of {kind}; use null for one class")


def number_classes(tables: list[Any], label: str | None) -> tuple[list[Indices], tuple[str, ...]]:
    """Give the classes of all tables the same numbers: as the column does, or else in the order of the values.

    Returns
    -------
    list[NDArray[int64]]
        For each table the class of each row.
    tuple[str, ...]
        The classes' names, in Unicode's form NFC.

    Raises
    ------
    SettingError
        If a row has none.
    """
    if label is None:
        return [np.zeros(len(table), np.int64) for table in tables], (ONE_CLASS,)
    values = [table.select_columns([label])[:][label] for table in tables]
    names = getattr(tables[0].features[label], "names", None)
    missing = {None} if names is None else {None, -1}  # -1 is the hub's habit
    if any(missing & set(column) for column in values):
        raise SettingError("data.label", label, "has rows without a class; use other splits, or null for one class")
    if names is not None:
        return [np.asarray(column, np.int64) for column in values], tuple(map(_composed, names))
    values = [list(map(_composed, column)) for column in values]
    known = np.unique(np.concatenate([np.asarray(column) for column in values]))
    return [np.searchsorted(known, np.asarray(column)) for column in values], tuple(map(str, known))


def _composed(value: Any) -> Any:
    """Bring text to one form of Unicode, as folders' names and `data.classes` are."""
    return normalize("NFC", value) if isinstance(value, str) else value

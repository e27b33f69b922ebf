"""Labels of many kinds as class numbers: a column, one-hot rows, numbers from any, text, none at all."""

from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.arrays.archive import ArchiveError
from fedphd.common.data.class_list import MOST_CLASSES, in_order, is_number
from fedphd.common.data.images import Indices

SHOWN = 5  # classes that a note lists

Values = NDArray[np.int64] | NDArray[np.str_]  # one for each image


def label_values(name: str, labels: NDArray[Any]) -> Values:
    """Read labels as one number or text for each image, shape (N,).

    Raises
    ------
    ArchiveError
        If they are not one class for each image.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "S":
        labels = _decoded(name, labels)
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        return _from_one_hot(name, labels)
    if labels.ndim != 1 or labels.dtype.kind not in "biufU":
        advice = "must be one number or text for each image, or one-hot rows"
        raise ArchiveError(f"{name} is {labels.dtype} of shape {labels.shape}; {advice}")
    if len(labels) == 0:
        raise ArchiveError(f"{name} is empty; give at least one image")
    return _texts(name, labels) if labels.dtype.kind == "U" else _numbers(name, labels)


def _decoded(name: str, labels: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.char.decode(labels, "utf-8")
    except UnicodeDecodeError:
        raise ArchiveError(f"{name} has bytes that are no text in UTF-8; store labels as text or numbers") from None


def _texts(name: str, labels: NDArray[np.str_]) -> NDArray[np.str_]:
    if not np.char.str_len(labels).all():
        raise ArchiveError(f"{name} has an image with empty text for its class; name it")
    return labels


def _numbers(name: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    low, high = labels.min(), labels.max()
    if not (low >= 0 and high < MOST_CLASSES):  # no number is above and below none
        raise ArchiveError(f"{name} runs from {low} to {high}; must be class numbers from 0 and below {MOST_CLASSES}")
    whole: NDArray[np.int64] = labels.astype(np.int64)
    if (whole != labels).any():
        raise ArchiveError(f"{name} is {labels.dtype} with values between whole numbers; must be class numbers")
    return whole


def _from_one_hot(name: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    if len(labels) == 0:
        raise ArchiveError(f"{name} is empty; give at least one image")
    marked = labels == 1
    if not ((labels == 0) | marked).all() or not (marked.sum(1) == 1).all():
        advice = "must be one number or text for each image, or one-hot rows with a single 1"
        raise ArchiveError(f"{name} of shape {labels.shape} gives images several classes, none, or shares; {advice}")
    return np.asarray(marked.argmax(1), np.int64)


def number_classes(
    parts: Sequence[Values], classes: Sequence[str] | None = None
) -> tuple[list[Indices], tuple[str, ...]]:
    """Give numbers to the classes that are found in any part.

    Parameters
    ----------
    parts : Sequence
        Labels of each part of an archive.
    classes : Sequence[str], optional
        The user's names: of the numbers 0, 1, ..., unless these names are numbers themselves.

    Returns
    -------
    tuple[list[NDArray[int64]], tuple[str, ...]]
        For each part the class of each image, and the names of the classes that are there, in Unicode's form NFC.

    Raises
    ------
    ArchiveError
        If parts have labels of different kinds, or numbers have no name.
    """
    if len({part.dtype.kind for part in parts}) > 1:
        raise ArchiveError("has numbers for labels in one part and text in another")
    together: Any = np.concatenate(parts)
    names, inverse = np.unique(together, return_inverse=True)
    called = _called(names, classes)
    order = in_order(set(called))
    rank = {name: number for number, name in enumerate(order)}
    numbers = np.asarray([rank[name] for name in called], np.int64)[inverse]
    return np.split(numbers, np.cumsum([len(part) for part in parts])[:-1]), tuple(order)


def _called(values: Values, classes: Sequence[str] | None) -> list[str]:
    found = [normalize("NFC", str(value)) for value in values]
    if classes is None or values.dtype.kind != "i" or all(map(is_number, classes)):
        return found
    if int(values.max()) >= len(classes):
        told = f"data.classes names the numbers 0 to {len(classes) - 1}"
        raise ArchiveError(f"has labels from {values.min()} to {values.max()}, and {told}; add names, or count from 0")
    return [classes[int(value)] for value in values]


def gap_note(names: Iterable[str]) -> list[str]:
    """Note the class numbers below the largest that no image has, if classes go by their numbers."""
    names = list(names)
    if not all(map(is_number, names)):
        return []
    absent = sorted(set(range(max(map(int, names)))) - set(map(int, names)))
    if not absent:
        return []
    listed = ", ".join(map(str, absent[:SHOWN])) + (", ..." if len(absent) > SHOWN else "")
    whose = "such a label is a class only if another holder has it, or data.classes lists it"
    return [f"no image here has the label {listed}: {whose}"]

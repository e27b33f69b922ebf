"""Lists of classes: what their names may be, and one list for holders of which each knows only its own."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.decoding.words import printable

ONE_CLASS = "image"  # of images without labels
MOST_CLASSES, LONGEST_NAME = 10_000, 255  # of a holder, and characters of a class's name
LONGEST_NUMBER = 18  # digits
SHOWN = 40  # characters of a name that an error shows


def fault_of(classes: Sequence[str]) -> str | None:
    """Say in a few words why a holder cannot tell others of these classes; None: it can."""
    if len(classes) > MOST_CLASSES:
        return f"has {len(classes):,} classes, at most {MOST_CLASSES:,} are possible"
    if "" in classes:
        return "has a class whose name is empty"
    for name in classes:
        if len(name) > LONGEST_NAME:
            return f"has a class of {len(name):,} characters, {printable(name[:SHOWN])}..., at most {LONGEST_NAME}"
        if not name.isprintable():
            return f"has a class whose name cannot be shown, {printable(name[:SHOWN])}"
    if len(set(classes)) < len(classes):
        twin = next(name for name in classes if classes.count(name) > 1)
        return f"has two classes of one name, {printable(twin[:SHOWN])}"
    return None


def common_classes(lists: Iterable[Sequence[str]]) -> list[str]:
    """Make the one list of classes that all label counts can be told over.

    Parameters
    ----------
    lists : Iterable[Sequence[str]]
        Each holder's classes.

    Returns
    -------
    list[str]
        Their list, if they all have the same; otherwise each name once, whole numbers first and by their size, then
        the others in the order of their letters. The same whatever the order of the holders.
    """
    distinct = list(dict.fromkeys(tuple(names) for names in lists))
    if len(distinct) == 1:
        return list(distinct[0])
    return in_order({name for names in distinct for name in names})


def in_order(names: Iterable[str]) -> list[str]:
    """Put names of classes into one order: ``2`` before ``10``, numbers before words."""
    return sorted(names, key=lambda name: (0, int(name), name) if is_number(name) else (1, 0, name))


def is_number(name: str) -> bool:
    """Say whether a class is named by its number alone."""
    return name.isascii() and name.isdecimal() and len(name) <= LONGEST_NUMBER


def over(classes: Sequence[str], own: Sequence[str], values: Sequence[float]) -> NDArray[np.float64]:
    """Tell what somebody told of its own classes over another list that has them all; of the others it has zero.

    Parameters
    ----------
    classes : Sequence[str]
        The list.
    own : Sequence[str]
        The classes of `values`.
    values : Sequence[float]
        Counts or shares, one for each of `own`.

    Returns
    -------
    NDArray[float64]
        Shape (len(classes),).
    """
    if list(classes) == list(own):
        return np.asarray(values, float)
    by_name = dict(zip(own, values, strict=True))
    return np.asarray([by_name.get(name, 0.0) for name in classes], float)

"""The classes of a folder: its subfolders, or none."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedphd.common.data.class_list import ONE_CLASS
from fedphd.common.data.decoding.words import printable, several, some
from fedphd.common.data.listing import Walk
from fedphd.common.errors import SettingError

Unusable = Callable[[str], SettingError]


@dataclass(frozen=True)
class Listing:
    """The image files of a folder.

    Attributes
    ----------
    files : list[str]
        Their paths, class by class.
    labels : list[int]
        Class number of each.
    names : tuple[str, ...]
        Names of the classes, in the form that Unicode calls NFC.
    notes : tuple[str, ...]
        What was left out.
    """

    files: list[str]
    labels: list[int]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def list_classes(top: Path, allow_empty: bool, unusable: Unusable) -> Listing:
    """List the images of a folder, class by class.

    Parameters
    ----------
    top : Path
        The folder: with one subfolder for each class, of any depth, or with images and no subfolders.
    allow_empty : bool
        Allow classes without images.
    unusable : Callable[[str], SettingError]
        Makes an error from what is wrong with the folder.

    Raises
    ------
    SettingError
        If the folder cannot be read or holds no images; if images lie beside subfolders; if classes are empty, or told
        apart by capitals alone; if a link leads nowhere.
    """
    try:
        walk = Walk(top)
        folders, files = walk.entries()
        by_class = _by_class(folders, files, unusable)
        found = walk.each_once({name: walk.below(folder) if folder else files for name, folder in by_class.items()})
    except OSError as error:
        where = f"{printable(str(error.filename))}: " if error.filename not in (None, str(top)) else ""
        raise unusable(f"cannot be read ({where}{error.strerror})") from None
    notes = _notes(walk, found)
    if walk.dangling:
        these = "which is called like an image, leads" if len(walk.dangling) == 1 else "called like images, lead"
        links = f"{several(len(walk.dangling), 'link')} ({some(_below(top, walk.dangling))})"
        raise unusable(f"{links}, {these} nowhere; mend or remove what leads nowhere")
    return _numbered(found, allow_empty, unusable, notes)


def _by_class(folders: list[str], files: list[str], unusable: Unusable) -> dict[str, str]:
    """Name the folder of each class; empty, where all images are of one class and lie in the folder itself."""
    if not folders:
        if not files:
            raise unusable("needs images, or one subfolder of images for each class; it has neither")
        return {ONE_CLASS: ""}
    if files:
        beside = f"{several(len(files), 'image')} ({some(Path(file).name for file in files)})"
        raise unusable(
            f"has {beside} beside {several(len(folders), 'subfolder')} ({some(Path(one).name for one in folders)}); "
            "put all images into one subfolder for each class, or all into the folder itself"
        )
    by_class: dict[str, str] = {}
    alike: dict[str, str] = {}  # names, by what many would take them for
    for folder in folders:
        name = _class_name(Path(folder).name, unusable)
        twin = alike.setdefault(name.casefold(), name)
        if name in by_class or twin != name:
            raise unusable(f"has two subfolders that many would take for one class, {twin} and {name}; rename one")
        by_class[name] = folder
    return dict(sorted(by_class.items()))


def _class_name(name: str, unusable: Unusable) -> str:
    if not name.isprintable():
        raise unusable(f"has a subfolder whose name cannot be shown, {printable(name)}; rename it")
    return unicodedata.normalize("NFC", name)


def _numbered(found: dict[str, list[str]], allow_empty: bool, unusable: Unusable, notes: tuple[str, ...]) -> Listing:
    empty = [name for name, files in found.items() if not files]
    if len(empty) == len(found) and not allow_empty:
        left = f" ({notes[0]})" if notes else ""
        raise unusable(f"needs images, or one subfolder of images for each class; it has none{left}")
    if empty and not allow_empty:
        instead = "remove it" if len(empty) == 1 else "remove them"
        advice = f"needs images in each subfolder, and there is none in {some(empty)}"
        raise unusable(f"{advice}; {instead}, or set data.empty_classes=true")
    labels = [number for number, files in enumerate(found.values()) for _ in files]
    return Listing([file for files in found.values() for file in files], labels, tuple(found), notes)


def _notes(walk: Walk, found: dict[str, list[str]]) -> tuple[str, ...]:
    left_out = tuple(walk.left_out.notes())
    if list(found) != [ONE_CLASS] or Path(next(iter(found[ONE_CLASS]), "")).parent != Path(walk.top):
        return left_out
    images = several(len(found[ONE_CLASS]), "image")
    return (f"no subfolders: all {images} are of one class, {ONE_CLASS}", *left_out)


def _below(top: Path, paths: Sequence[str]) -> list[str]:
    return [str(Path(path).relative_to(top)) for path in paths]

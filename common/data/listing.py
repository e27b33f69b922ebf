"""The files below a folder of the user's: no hidden and system files, nothing that hangs, nothing twice."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fedphd.common.data.decoding.formats import Kind, kind_by_name, kind_of
from fedphd.common.data.decoding.words import MOST_NAMED, some

SYSTEM = frozenset(  # in small letters
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "dicomdir"),
        *("__macosx", "$recycle.bin", "system volume information", "lost+found", "@eadir"),
    }
)
Reason = tuple[str, str]  # of one, of several
HIDDEN: Reason = ("hidden or system file or folder", "hidden or system files or folders")
SPECIAL: Reason = ("special file, as a pipe or device,", "special files, as pipes and devices,")
AGAIN: Reason = ("link to a folder that is read already", "links to folders that are read already")
SAME: Reason = ("link to an image that is read already", "links to images that are read already")
NO_IMAGE: Reason = ("file that is no image", "files that are no images")

Identity = tuple[int, int]  # of a folder or file: its device and its number there


class LeftOut:
    """What was left out of a set, by the reason, with the names of some."""

    def __init__(self) -> None:
        self._names: dict[Reason, list[str]] = {}
        self.endings: Counter[str] = Counter()

    def add(self, reason: Reason, path: str) -> None:
        """Leave out a file or folder."""
        self._names.setdefault(reason, []).append(Path(path).name)
        if reason == NO_IMAGE:
            self.endings[Path(path).suffix.lower() or "no ending"] += 1

    def notes(self) -> Iterator[str]:
        """Say what was left out, one line for each reason."""
        for reason, names in self._names.items():
            if reason == NO_IMAGE:
                named = ", ".join(f"{ending} {count}" for ending, count in self.endings.most_common(MOST_NAMED + 3))
                named += f"; {some(names)}"
            else:
                named = some(names)
            yield f"{len(names):,} {reason[len(names) > 1]} left out ({named})"


class Walk:
    """A walk through folders; each is read once, whatever links lead to it.

    Parameters
    ----------
    top : Path
        Where it begins.

    Attributes
    ----------
    left_out : LeftOut
        What it passed by.
    dangling : list[str]
        Links that lead nowhere and are called like images.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """

    def __init__(self, top: Path) -> None:
        self.top = str(top)
        self.left_out = LeftOut()
        self.dangling: list[str] = []
        self._listed: set[Identity] = set()
        self._links: set[str] = set()  # to images
        self._claimed = {_identity(parent) for parent in top.resolve().parents}  # which a link inside must not bring in
        self._claim(self.top)

    def entries(self, folder: str | None = None) -> tuple[list[str], list[str]]:
        """List one folder, by default the top: paths of its subfolders, and of the files that are images, sorted.

        A link to a folder that was or will be read anyway is left out.
        """
        folders, files = [], []
        for entry in sorted(os.scandir(folder or self.top), key=lambda entry: entry.name):
            if _is_hidden(entry.name):
                self.left_out.add(HIDDEN, entry.path)
            elif _holds(entry.is_dir):
                if self._is_new(entry):
                    folders.append(entry.path)
            elif self._is_image(entry):
                if entry.is_symlink():
                    self._links.add(entry.path)
                files.append(entry.path)
        return folders, files

    def below(self, folder: str) -> list[str]:
        """List the images in a folder and in those below it, sorted by their folder's path, then by name."""
        found, waiting = [], [folder]
        while waiting:
            folders, files = self.entries(waiting.pop())
            waiting += folders
            found += files
        return sorted(found, key=os.path.split)

    def each_once(self, found: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Drop links to images that are listed without a link; of several to one other image, the first stays.

        Parameters
        ----------
        found : Mapping[str, list[str]]
            All images of the walk, class by class.
        """
        paths = (path for files in found.values() for path in files) if self._links else ()
        taken = {_identity(Path(path)) for path in paths if path not in self._links}
        return {name: [path for path in files if self._counts(path, taken)] for name, files in found.items()}

    def _counts(self, path: str, taken: set[Identity]) -> bool:
        if path not in self._links:
            return True
        identity = _identity(Path(path))
        if identity in taken:
            self.left_out.add(SAME, path)
            return False
        taken.add(identity)
        return True

    def _is_image(self, entry: os.DirEntry[str]) -> bool:
        if _holds(entry.is_file):
            if _kind(entry.path) is not None:
                return True
            self.left_out.add(NO_IMAGE, entry.path)
        elif not Path(entry.path).exists() and kind_by_name(entry.path) is not None:
            self.dangling.append(entry.path)
        else:
            self.left_out.add(SPECIAL if Path(entry.path).exists() else NO_IMAGE, entry.path)
        return False

    def _is_new(self, entry: os.DirEntry[str]) -> bool:
        """Decide whether a folder is read here: a link only if no other way leads to what it points to."""
        identity = _identity(Path(entry.path))
        if identity in self._listed or (entry.is_symlink() and identity in self._claimed):
            self.left_out.add(AGAIN, entry.path)
            return False
        self._listed.add(identity)
        if entry.is_symlink():
            self._claim(entry.path)
        return True

    def _claim(self, folder: str) -> None:
        """Note all folders that are reached without another link, before any link is followed."""
        self._claimed.add(_identity(Path(folder)))
        for parent, names, _ in os.walk(folder):
            names[:] = [name for name in names if not _is_hidden(name)]
            self._claimed |= {_identity(path) for name in names if not (path := Path(parent, name)).is_symlink()}


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _holds(question: Callable[[], bool]) -> bool:
    """Ask of an entry what a link that leads in a circle cannot answer."""
    try:
        return question()
    except OSError:
        return False


def _identity(path: Path) -> Identity:
    found = path.stat()
    return found.st_dev, found.st_ino


def _kind(path: str) -> Kind | None:
    try:
        return kind_of(path)
    except OSError:  # a file without a known ending that nobody may read
        return None

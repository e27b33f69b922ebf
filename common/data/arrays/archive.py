"""A NumPy file: its arrays by name, and what they are by their heads alone. Nothing is unpickled."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

ONLY = "the array"  # what the array of an .npy file is called, which has no name
BROKEN = (OSError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


class ArchiveError(ValueError):
    """What cannot be read as NumPy's; the text says why."""


@dataclass(frozen=True)
class Head:
    """What an array is.

    Attributes
    ----------
    shape : tuple[int, ...]
        Its shape.
    dtype : np.dtype
        The type of its values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Archive:
    """An ``.npz`` archive, or an ``.npy`` file with one array.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ArchiveError
        If it cannot be read, or is cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _told():
            self.heads: dict[str, Head] = dict(self._heads())

    @cached_property
    def is_archive(self) -> bool:
        """Whether it is an archive of named arrays."""
        return zipfile.is_zipfile(self.path)

    def read(self, name: str) -> NDArray[Any]:
        """Read a whole array.

        Raises
        ------
        ArchiveError
            If it is damaged, or would have to be unpickled.
        """
        if self.heads[name].dtype.hasobject:
            raise ArchiveError(f"{name} holds Python objects, which would have to be unpickled; store numbers or text")
        with _told():
            opened = np.load(self.path, allow_pickle=False)
            if not isinstance(opened, NpzFile):
                return np.asarray(opened)
            with opened as archive:
                return np.asarray(archive[name])

    def _heads(self) -> Iterator[tuple[str, Head]]:
        if not self.is_archive:
            with self.path.open("rb") as file:
                yield ONLY, _head(file, ONLY, self.path.stat().st_size)
            return
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    name = member.filename.removesuffix(".npy")
                    with archive.open(member) as file:
                        yield name, _head(file, name, member.file_size)


def _head(file: IO[bytes], name: str, size: int) -> Head:
    """Read an array's head, and check that a file of `size` bytes holds the rest."""
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"{name} has field names, which arrays of images do not have")
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError(f"{name} is cut short")
    return Head(tuple(shape), dtype)


@contextmanager
def _told() -> Iterator[None]:
    """Tell all that broken files can cause as one kind of error."""
    try:
        yield
    except BROKEN as error:
        raise ArchiveError(f"cannot be read as NumPy's ({error or type(error).__name__})") from None

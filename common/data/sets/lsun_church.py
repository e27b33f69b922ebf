"""LSUN's outdoor churches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PositiveInt

from fedphd.common.data.cache import CachedSet
from fedphd.common.data.data_set import DATA_SETS, WhichImages
from fedphd.common.data.decoded import DecodedImages, FileImages, file_stamp
from fedphd.common.data.images import Split
from fedphd.common.data.listing import Walk
from fedphd.common.data.root_set import RootSet
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from PIL.Image import Image

DATA = "data.mdb"  # LMDB's own name of the file in its folder
PARTS = {"train": "church_outdoor_train", "holdout": "church_outdoor_val"}


@DATA_SETS.register("lsun_church")
class LSUNChurch(CachedSet, RootSet):
    """LSUN's church_outdoor, of one class: `train` to train, `val` held out.

    They are read from LSUN's own databases (``church_outdoor_train_lmdb``), or from folders of the images in them
    (``church_outdoor_train``, of any depth).

    Attributes
    ----------
    size : int
        Side in pixels: the shorter side is resized to it, then the middle is cut out.
    """

    size: WhichImages[PositiveInt] = 256

    @property
    def source(self) -> Path:
        """The folder that holds the database, or the images."""
        return self.root

    def read(self, split: Split, seed: int) -> DecodedImages:  # noqa: ARG002
        """List the images of a split.

        Raises
        ------
        SettingError
            If `root` holds neither their database nor their folder, or what reads the database is not installed.
        """
        database, folder = self.root / f"{PARTS[split]}_lmdb", self.root / PARTS[split]
        found, notes = (_keys(database), ()) if database.is_dir() else _files(folder)
        sources = np.asarray(found)
        if len(sources) == 0:
            raise SettingError("data.root", self.root, f"must hold {database.name}, or {folder.name} with images in it")
        labels, names, shape = np.zeros(len(sources), np.int64), ("church",), (3, self.size, self.size)
        if database.is_dir():
            return DatabaseImages(labels, names, shape, sources, "data.root", database)
        return FileImages(labels, names, shape, sources, "data.root", notes=notes)


@dataclass(frozen=True, eq=False)
class DatabaseImages(DecodedImages):
    """Images in an LMDB: `sources` are their keys, the values their files' content."""

    database: Path

    def open(self, source: Any) -> Image:
        """Open the image at a key."""
        from PIL import Image  # noqa: PLC0415

        with _environment(self.database).begin() as transaction:
            return Image.open(BytesIO(transaction.get(bytes(source)) or b""))

    def stamp(self, source: Any) -> str:
        """Give the database's stamp with a key."""
        return f"{file_stamp(self.database / DATA)}|{bytes(source).hex()}"

    def named(self, source: Any) -> object:
        """Name a key of the database."""
        return f"{self.database}: {bytes(source).decode(errors='replace')}"


@lru_cache(maxsize=2)
def _environment(database: Path) -> Any:
    """Open a database; a process may do so only once."""
    try:
        import lmdb  # noqa: PLC0415  (an optional dependency)
    except ImportError:
        advice = "reads LMDB files, and lmdb is not installed; install the extra: pip install 'fedphd[lsun]'"
        raise SettingError("data", "lsun_church", advice) from None
    try:
        return lmdb.open(str(database), readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error as error:
        raise SettingError("data.root", database, f"cannot be read ({error}); unzip it again") from None


def _keys(database: Path) -> list[bytes]:
    with _environment(database).begin() as transaction:
        return list(transaction.cursor().iternext(keys=True, values=False))


def _files(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """List the images in a folder and below, by their paths, and say what was left out."""
    if not folder.is_dir():
        return [], ()
    walk = Walk(folder)
    [files] = walk.each_once({"": walk.below(walk.top)}).values()
    return sorted(files), tuple(walk.left_out.notes())

"""Decoding a set of images once: what is kept, under which key, and what is dropped."""

import errno
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from fedphd.common.data.cache.entry import SUFFIX, Entry
from fedphd.common.data.data_set import DataSet
from fedphd.common.data.decoded import DecodedImages
from fedphd.common.data.decoding.formats import decoders
from fedphd.common.data.decoding.kept import SUFFIX as SURVEY_SUFFIX
from fedphd.common.data.images import ArrayImages, ImageSet, Pixels
from fedphd.common.errors import SettingError
from fedphd.common.keeping.private_files import DRAFT, private_folder

if TYPE_CHECKING:
    from fedphd.common.data.partitions import Partition

LAYOUT = 1  # of the files
DIGITS = 32  # of the hashes in their names
BLOCK = 1 << 26  # bytes of pixels that are decoded at once
UNUSED = 30 * 24 * 3600  # seconds after which a file that nobody has opened is dropped

log = logging.getLogger(__name__)


def keep(images: ImageSet, folder: Path | None, name: str) -> ImageSet:
    """Give a set of images, decoded into a file of the cache and mapped from there.

    The file is made where it is missing or damaged, or where a source has changed since. Processes that want it at
    the same time make it once. Where it cannot be made, because the disk is full, say, the log says so and images are
    decoded when they are asked for: a cache saves time, and no run may end for it.

    Parameters
    ----------
    images : ImageSet
        A set that is not decoded is given back as it is.
    folder : Path or None
        The cache, made if needed; None: there is none.
    name : str
        Of `name_of`: which images these are, whatever is in them. If they change, the file of how they were is removed.

    Returns
    -------
    ImageSet
        The same images.

    Raises
    ------
    SettingError
        If a source is not there, or cannot be decoded.
    """
    if folder is None or not isinstance(images, DecodedImages) or len(images) == 0:
        return images
    entry = Entry(folder, _hash(name), _key(images), (len(images), *images.shape))
    try:
        pixels = entry.open()
        if pixels is None:
            pixels = _made(images, entry)
    except (OSError, NotImplementedError) as error:  # the second, of filelock: a file system without locks
        log.warning("decoded images cannot be kept in %s (%s): they are decoded anew for each message", folder, error)
        return images
    return ArrayImages(images.labels, images.class_names, images.shape, pixels, notes=images.notes)


def name_of(data: DataSet, *facts: object) -> str:
    """Name the images of a data set that some facts choose, such as a split and a seed; all can be written as JSON."""
    return json.dumps([data.model_dump(mode="json", exclude={"cache"}), *facts])


def name_of_part(data: DataSet, scheme: "Partition", clients: int, seed: int, index: int) -> str:
    """Name what client `index` trains on, for the client and for the root of a simulation, which may show it."""
    return name_of(data, scheme.model_dump(mode="json"), clients, seed, index)


def _key(images: DecodedImages) -> str:
    """Hash all that decoded images depend on, the versions of the decoders among it."""
    stamps = [_stamp(images, source) for source in images.sources]
    return _hash(json.dumps([LAYOUT, decoders(), images.recipe, stamps]))


def _stamp(images: DecodedImages, source: Any) -> str:
    try:
        return images.stamp(source)
    except OSError as error:
        advice = f"cannot be read ({error}); mend or remove this image"
        raise SettingError(images.setting, images.named(source), advice) from None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _made(images: DecodedImages, entry: Entry) -> Pixels:
    """Make a file, unless someone else has made it meanwhile; drop what it replaces."""
    private_folder(entry.folder)
    with FileLock(entry.folder / f".{entry.name}.lock", mode=0o600):
        found = entry.open()
        if found is not None:
            return found
        _drop(entry, f".{entry.name}-*{DRAFT}")  # of processes that were killed
        if not _linked(entry):
            started = time.monotonic()
            _check_room(entry)
            try:
                entry.write(_blocks(images))
            except SettingError:
                images.check()  # says how many more cannot be read, in later blocks too
                raise
            took = time.monotonic() - started
            log.info("decoded %d images into %s in %.1f s", len(images), entry.file, took)
        _drop(entry, f"{entry.name}-*{SUFFIX}")
        for suffix in (SUFFIX, SURVEY_SUFFIX):
            _drop(entry, f"*{suffix}", unused=UNUSED)
    made = entry.open()
    if made is None:
        raise OSError(errno.EIO, f"{entry.file} is not as it was written")
    return made


def _blocks(images: DecodedImages) -> Iterator[Pixels]:
    """Decode all images, some at a time: all of them may not fit into memory."""
    step = max(BLOCK // int(np.prod(images.shape)), 1)
    return (images.images(np.arange(start, min(start + step, len(images)))) for start in range(0, len(images), step))


def _linked(entry: Entry) -> bool:
    """Take the file of another name that has the same images, as those of a run with another seed may be."""
    for other in entry.folder.glob(f"*-{entry.key}{SUFFIX}"):
        twin = replace(entry, name=other.name.removesuffix(f"-{entry.key}{SUFFIX}"))
        if twin.name == entry.name or twin.open() is None:
            continue
        entry.file.unlink(missing_ok=True)
        try:
            os.link(twin.file, entry.file)
        except OSError:  # a file system without links
            return False
        return True
    return False


def _check_room(entry: Entry) -> None:
    free = shutil.disk_usage(entry.folder).free
    if free <= entry.size:
        raise OSError(errno.ENOSPC, f"{entry.size / 1e6:,.0f} MB are needed, and {free / 1e6:,.0f} MB are free")


def _drop(entry: Entry, pattern: str, unused: float = -1.0) -> None:
    """Remove other files that nobody has opened for some seconds; who has mapped one keeps what it maps."""
    for other in set(entry.folder.glob(pattern)) - {entry.file}:
        with suppress(FileNotFoundError):  # someone else has removed it
            if time.time() - other.stat().st_mtime > unused:
                other.unlink()

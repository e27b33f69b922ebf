"""Files that only their owner may read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

DRAFT = ".draft"


def private_folder(folder: Path) -> Path:
    """Make a folder, with those above it, that only the owner may enter; an existing one stays as it is."""
    for one in (*reversed(folder.parents), folder):  # `parents=True` would leave those above to the umask
        one.mkdir(exist_ok=True, mode=0o700)
    return folder


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that only the owner may read: whole or not at all, also when the process is killed.

    Yields
    ------
    BinaryIO
        A draft, which takes the place of the file once the block has ended without an error.
    """
    private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only the owner may read: whole or not at all, also when the process is killed."""
    with private_file(path) as file:
        file.write(data)

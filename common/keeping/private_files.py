"""Files that only their owner may read."""

import os
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """Make a folder, with those above it, that only the owner may enter; an existing one stays as it is."""
    for one in (*reversed(folder.parents), folder):  # `parents=True` would leave those above to the umask
        one.mkdir(exist_ok=True, mode=0o700)
    return folder


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only the owner may read: whole or not at all, also when the process is killed."""
    private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

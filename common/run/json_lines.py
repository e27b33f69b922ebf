"""Files of JSON objects, one a line, that one process writes while others read."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]


class JsonLines:
    """An append-only file of JSON objects, one a line; safe to call from several threads.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            # A process was killed in the middle of a line: what follows must start a line of its own.
            with path.open("ab") as file:
                file.write(b"\n")

    def write(self, **entry: object) -> None:
        """Append one object, flushed, so that a reader sees whole lines only."""
        line = json.dumps(entry, allow_nan=False) + "\n"
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)


class Tail:
    """Reads a JSON-lines file piece by piece, from where it stopped the last time.

    Parameters
    ----------
    path : Path
        The file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> Iterator[JsonObject]:
        """Yield the objects of the whole lines that are new.

        A last line that is still being written waits for the next call. A line that a killed
        process left torn is skipped. A file that was made anew, shorter, is read from its start.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            if self.path.stat().st_size < self._offset:
                self._offset = 0
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                entry = _parse(line)
                if entry is not None:
                    yield entry


def read_lines(path: Path) -> Iterator[JsonObject]:
    """Yield the objects of a JSON-lines file, as far as its lines are whole."""
    return Tail(path).read()


def _parse(line: bytes) -> JsonObject | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None

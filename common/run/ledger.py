"""The ledger: one JSON line for each thing that happened to a message or a model.

Progress display, report and cost tables are all made from it, so that what a person sees and what
was counted cannot differ. `metrics.jsonl` is written by the same class: one line per root round.
"""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class JsonLines:
    """An append-only file of JSON objects, one a line; safe to call from several threads."""

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


class Ledger(JsonLines):
    """Events of one run: `send`, `accept`, `refuse`, `lost`, `aggregate`, `commit` and a few more."""

    def event(self, event: str, *, tier: str, node: str, **facts: object) -> None:
        """Write an event of `node` in `tier` ("root", "edge"); the time is seconds since the epoch."""
        self.take({"time": round(time.time(), 3), "event": event, "tier": tier, "node": node, **facts})

    def take(self, entry: Entry) -> None:
        """Write an event that happened elsewhere."""
        self.write(**entry)

    def take_forwarded(self, edge: str, entries: Iterable[Entry]) -> None:
        """Write what an edge's ledger sent along; whose events they are does not depend on what they say."""
        for entry in entries:
            self.take({**entry, "tier": "edge", "node": edge})

    def to_forward(self) -> list[Entry]:
        """Hand out, once, the events that another tier's ledger does not have: none, where all tiers share one."""
        return []


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

    def read(self) -> Iterator[Entry]:
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


def read_lines(path: Path) -> Iterator[Entry]:
    """Yield the objects of a JSON-lines file, as far as its lines are whole."""
    return Tail(path).read()


def _parse(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None

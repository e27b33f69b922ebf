"""The ledger: one JSON line for each thing that happened to a message or a model.

Progress display, report and cost tables are all made from it, so that what a person sees and what
was counted cannot differ. `metrics.jsonl` is written by the same class: one line per root round.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class JsonLines:
    """An append-only file of JSON objects, one a line; safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()

    def write(self, **entry: object) -> None:
        """Append one object, flushed, so that a reader sees whole lines only."""
        line = json.dumps(entry, allow_nan=False) + "\n"
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)


class Ledger(JsonLines):
    """Events of one run: `send`, `accept`, `refuse`, `lost`, `aggregate`, `commit` and a few more."""

    def event(self, event: str, *, tier: str, node: str, **facts: object) -> None:
        """Write an event of `node` in `tier` ("root", "edge"); the time is seconds since the epoch."""
        self.write(time=round(time.time(), 3), event=event, tier=tier, node=node, **facts)


def read_lines(path: Path) -> Iterator[dict[str, object]]:
    """Yield the objects of a JSON-lines file; a last line that is still being written is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)

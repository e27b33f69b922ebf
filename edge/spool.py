"""The hand-over between an edge's two faces: the gateway, a node of the root, and the edge's own ServerApp.

They are processes of two Flower networks, and only share a folder, which belongs to one run of the root, also after
that was resumed::

    orders/<id>.safetensors    what the root asks; the gateway writes it
    answers/<id>.safetensors   the ServerApp's answer, or why there is none
    progress/<id>.safetensors  edge rounds of an order that are over
    early/                     updates that came before their turn
    state/                     what the ServerApp keeps from round to round
    members.json, ledger.jsonl what the ServerApp knows and did
    lock                       held by the ServerApp while it lives
    end                        there when the run is over

An order's id is a hash of its content: an order that the root sends again, because its gateway was
restarted, is the same order, and is worked on once. Every file is written whole or not at all.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from flwr.app import RecordDict

from fedphd.common.errors import FedPhDError
from fedphd.common.keeping.private_files import private_folder, write_private
from fedphd.common.wire.content_file import ContentFileError, read_content, write_content
from fedphd.edge.edge_progress import EdgeProgress

EDGE_KEY, SPOOL_KEY = "edge-id", "spool"  # keys of the edge app's run config
END, EARLY, STATE = "end", "early", "state"  # names in the folder
GATHERED = "gathered"  # below STATE
KINDS = ("orders", "answers", "progress")
KEPT = 2  # newest orders that stay on disk with their answers: a late resend finds its answer
LOCK_PATIENCE = 5.0  # seconds: the gateway holds the lock for a moment when it looks for life
TYPE, ERROR = "type", "error"


class SpoolTakenError(FedPhDError):
    """Another ServerApp serves the spool."""


class OrderFailedError(FedPhDError):
    """The edge's ServerApp could not carry out an order."""


@dataclass(frozen=True)
class Order:
    """What the root asks of the edge: a message's type and content."""

    id: str
    message_type: str
    content: RecordDict


class Spool:
    """The folder of one edge for one run of the root.

    Parameters
    ----------
    folder : Path
        Made when first needed, for the owner only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in KINDS:
            private_folder(folder / name)

    # --- the gateway's side ---

    def put_order(self, message_type: str, content: RecordDict) -> str:
        """Write an order, unless it is there already; return its id."""
        order_id = _id(message_type, content)
        if not self._file("orders", order_id).exists():
            write_content(self._file("orders", order_id), content, {TYPE: message_type})
            self._forget_old()
        return order_id

    def has_order(self, order_id: str) -> bool:
        """Whether an order is there."""
        return self._file("orders", order_id).exists()

    def drop_order(self, order_id: str) -> None:
        """Take an order back that nobody waits for any more."""
        self._file("orders", order_id).unlink(missing_ok=True)

    def take_answer(self, order_id: str) -> RecordDict | None:
        """Read the answer to an order; None if there is none yet.

        Raises
        ------
        OrderFailedError
            If the ServerApp failed at it. The failure is told once: sent again, the order is tried again.
        """
        try:
            content, facts = read_content(self._file("answers", order_id))
        except ContentFileError:
            return None
        if ERROR in facts:
            for kind in ("orders", "answers"):
                self._file(kind, order_id).unlink(missing_ok=True)
            raise OrderFailedError(facts[ERROR])
        return content

    @property
    def served(self) -> bool:
        """Whether a ServerApp is alive for this spool; a killed one has lost its lock."""
        lock = FileLock(self.folder / "lock", blocking=False)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
        return False

    def begin(self) -> None:
        """Take back the end of the run: its root goes on."""
        (self.folder / END).unlink(missing_ok=True)

    def end(self) -> None:
        """Tell the ServerApp that the run is over."""
        write_private(self.folder / END, b"")

    # --- the ServerApp's side ---

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Hold the spool's lock; it ends with the process, however that ends.

        Raises
        ------
        SpoolTakenError
            If another process holds it.
        """
        lock = FileLock(self.folder / "lock", timeout=LOCK_PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            raise SpoolTakenError(f"another ServerApp serves {self.folder}") from None
        try:
            yield
        finally:
            lock.release()

    def clear(self) -> None:
        """Remove all that a run that is over does not need; what a resumed one builds on stays."""
        for kind in (*KINDS, EARLY, f"{STATE}/{GATHERED}"):
            shutil.rmtree(self.folder / kind, ignore_errors=True)

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return (self.folder / END).exists()

    def next_order(self) -> Order | None:
        """Read the newest order that has no answer: for an older one nobody waits any more."""
        for file in reversed(self._by_age("orders")):
            if not self._file("answers", file.stem).exists():
                try:
                    content, facts = read_content(file)
                except ContentFileError:
                    continue  # forgotten meanwhile
                return Order(file.stem, facts[TYPE], content)
        return None

    def put_answer(self, order_id: str, content: RecordDict) -> None:
        """Write the answer to an order."""
        write_content(self._file("answers", order_id), content)
        self._file("progress", order_id).unlink(missing_ok=True)

    def put_failure(self, order_id: str, reason: str) -> None:
        """Write why an order could not be carried out."""
        write_content(self._file("answers", order_id), RecordDict(), {ERROR: reason})

    def progress(self, order_id: str) -> EdgeProgress:
        """Name the file for the part of an order that is done."""
        return EdgeProgress(self._file("progress", order_id))

    def _forget_old(self) -> None:
        for old in self._by_age("orders")[:-KEPT]:
            for kind in KINDS:
                self._file(kind, old.stem).unlink(missing_ok=True)

    def _by_age(self, kind: str) -> list[Path]:
        ages = {}
        for file in (self.folder / kind).glob("*.safetensors"):
            with suppress(FileNotFoundError):  # forgotten meanwhile
                ages[file] = file.stat().st_mtime_ns
        return sorted(ages, key=ages.__getitem__)

    def _file(self, kind: str, order_id: str) -> Path:
        return self.folder / kind / f"{order_id}.safetensors"


def known_spools(folder: Path) -> list[Spool]:
    """List the spools of an edge, one for each run of the root that it worked for."""
    return [Spool(one.parent) for one in folder.glob("*/ledger.jsonl")]


def _id(message_type: str, content: RecordDict) -> str:
    """Hash an order: equal orders of a run are one order."""
    digest = hashlib.sha256(message_type.encode())
    for name in sorted(content):
        digest.update(name.encode())
        digest.update(content[name].object_id.encode())
    return digest.hexdigest()[:32]

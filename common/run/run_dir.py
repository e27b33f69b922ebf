"""Who may write into a run folder: one run, and one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fedphd.common.errors import SettingError

AUXILIARY = "auxiliary"  # images that clients' local models drew
CHECKPOINTS = "checkpoints"
EDGES = "edges"  # what edges within the root's process keep
SPOOL = "spool"  # takes updates that arrive before their turn; gone when the run ends


@contextmanager
def sole_writer(run_dir: Path, name: str = ".lock") -> Iterator[None]:
    """Hold a lock of the run folder; it ends with the process, however that ends.

    Raises
    ------
    SettingError
        If another process holds it.
    """
    lock = FileLock(run_dir / name, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise SettingError("hydra.run.dir", run_dir, "another process is training there; wait or end it") from None
    try:
        yield
    finally:
        lock.release()


def checkpoint_rounds(run_dir: Path) -> list[int]:
    """List the root rounds of which there are checkpoints, whole or damaged ones."""
    folders = (run_dir / CHECKPOINTS).glob("round_[0-9]*")
    return sorted(int(folder.name.removeprefix("round_")) for folder in folders)


def refuse_used(run_dir: Path) -> None:
    """Refuse to start a new run where there is one already: its checkpoints would be mixed up.

    Raises
    ------
    SettingError
        If the folder has checkpoints.
    """
    if checkpoint_rounds(run_dir):
        advice = f"already holds a run; go on with checkpoint.resume={run_dir}, or choose another folder"
        raise SettingError("hydra.run.dir", run_dir, advice)

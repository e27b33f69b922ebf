"""Who may write into a run folder: one run, and one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fedphd.common.errors import SettingError
from fedphd.common.run.run_folder import LOCK, RunFolder


@contextmanager
def sole_writer(run_dir: Path, name: str = LOCK) -> Iterator[None]:
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


def refuse_used(run_dir: Path) -> None:
    """Refuse to start a new run where there is one already: its checkpoints would be mixed up.

    Raises
    ------
    SettingError
        If the folder has checkpoints.
    """
    if RunFolder(run_dir).checkpoint_rounds():
        advice = f"already holds a run; go on with fedphd resume {run_dir}, or choose another folder"
        raise SettingError("hydra.run.dir", run_dir, advice)

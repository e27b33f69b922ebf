"""Training by turns: processes that share a machine's GPU, or its cores, do not train all at once."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL = 0.1  # seconds between looks for a free turn

log = logging.getLogger(__name__)


@contextmanager
def turn(folder: Path, turns: int) -> Iterator[None]:
    """Hold one of the turns that there are; wait until one is free. A killed process has lost its own.

    Parameters
    ----------
    folder : Path
        Shared by all who take turns; made when first needed.
    turns : int
        Number of those who may train at the same time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"turn-{number}.lock", blocking=False) for number in range(turns)]
    started = time.monotonic()
    while (lock := next((one for one in locks if _free(one)), None)) is None:
        time.sleep(POLL)
    waited = time.monotonic() - started
    if waited > POLL:
        log.info("waited %.1f s for a turn to train", waited)
    try:
        yield
    finally:
        lock.release()


def _free(lock: FileLock) -> bool:
    try:
        lock.acquire()
    except Timeout:
        return False
    return True

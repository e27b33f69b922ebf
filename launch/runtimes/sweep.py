"""Ending all processes that belong to a folder, also when the process that started them was killed.

Every Flower process is started with a FLWR_HOME below the folder, and hands it down to all that it
starts: so they are found whatever became of their parents. Run as a program, this module waits until
its standard input ends, as it does when the process at the other end of the pipe dies, and sweeps then.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE = 5.0  # seconds for processes to end by themselves


def sweep(folder: Path) -> None:
    """End all processes whose FLWR_HOME is below `folder`: ask first, then insist."""
    steps: tuple[Callable[[psutil.Process], None], ...] = (psutil.Process.terminate, psutil.Process.kill)
    for end in steps:
        found = _processes(folder)
        for process in found:
            with suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(found, timeout=PATIENCE)


def guard(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that sweeps `folder` when this one has ended, however that was."""
    command = [sys.executable, "-m", __name__, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)


def _processes(folder: Path) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            home = process.environ().get("FLWR_HOME", "")
            if home and Path(home).is_relative_to(folder):
                # Children too: those of Ray write their title over their environment.
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    return list(found.values())


if __name__ == "__main__":
    sys.stdin.read()
    sweep(Path(sys.argv[1]))

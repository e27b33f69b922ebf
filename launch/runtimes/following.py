"""Following a submitted run by its ledger until it has ended."""

import time
from collections.abc import Callable
from pathlib import Path

from fedphd.common.errors import FedPhDError
from fedphd.common.flower.control import Control, ControlError
from fedphd.common.run.events import Fail, Finish
from fedphd.common.run.history import History
from fedphd.common.run.run_folder import RunFolder

LEDGER_POLL = 0.5  # seconds
STATUS_EVERY = 20.0  # seconds between looks at Flower's own status, which costs a process each time
SILENT = 600.0  # seconds for which a SuperLink may be away, or not know the run
END_TIMEOUT = 30.0  # seconds for a run to be marked as ended
ENDED = "finished"  # Flower's statuses of a run that is over begin so


class RunLostError(FedPhDError):
    """Flower ended the run before it had told its end: its ServerApp was killed."""


class Follower:
    """Reads a run's ledger from the moment before it is submitted.

    Parameters
    ----------
    run_dir : Path
        The run folder; a resumed run's ledger tells of earlier endings.
    """

    def __init__(self, run_dir: Path) -> None:
        self._reader = RunFolder(run_dir).reader()
        list(self._reader.read())
        self._history = History()  # of what comes from now on

    def wait(self, control: Control, run_id: str, watch: Callable[[], None]) -> None:
        """Wait for the ledger to tell the end; ask Flower now and then whether the run still lives.

        Parameters
        ----------
        control : Control
            The SuperLink that runs it.
        run_id : str
            Flower's id of the run.
        watch : Callable[[], None]
            Called again and again; raises if waiting is in vain.

        Raises
        ------
        RunLostError
            If Flower ended the run before it was done.
        FedPhDError
            If the run failed.
        """
        asked = told = time.monotonic()
        while (ending := self._ending()) is None:
            watch()
            time.sleep(LEDGER_POLL)
            if time.monotonic() - asked > STATUS_EVERY:
                asked = time.monotonic()
                status = _status(control, run_id)
                told = asked if status else told
                if asked - told > SILENT:
                    raise RunLostError(f"the SuperLink has said nothing of the run for {SILENT:.0f} s")
                if status.startswith(ENDED):
                    ending = self._ending()  # it may have been written while Flower was asked
                    if ending is None:
                        raise RunLostError(f"Flower ended the run ({status}) before it was done")
                    break
        if isinstance(ending, Fail):
            raise FedPhDError(f"the run failed: {ending.reason}")
        _await_end(control, run_id)

    def _ending(self) -> Finish | Fail | None:
        """Read on in the ledger; give the event with which the run ended, if it has."""
        for told in self._reader.read():
            self._history.take(told)
        return self._history.ending


def _status(control: Control, run_id: str) -> str:
    """Ask for a run's status; a SuperLink that is just being restarted has none to tell."""
    try:
        return str(control.run(run_id)["status"])
    except ControlError:
        return ""


def _await_end(control: Control, run_id: str) -> None:
    """Wait until Flower has marked the run as ended, so that its processes close in order."""
    deadline = time.monotonic() + END_TIMEOUT
    while not _status(control, run_id).startswith(ENDED) and time.monotonic() < deadline:
        time.sleep(0.2)

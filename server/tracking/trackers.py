"""The trackers of a run, and what happens when one of them fails."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from fedphd.common.config import TrackerConfig
from fedphd.common.errors import FedPhDError, SettingError
from fedphd.server.tracking.tracker import TRACKERS, Line, Tracker

log = logging.getLogger(__name__)


def read_trackers(tracking: Mapping[str, TrackerConfig]) -> dict[str, Tracker]:
    """Read the options of all trackers, by their names.

    Raises
    ------
    SettingError
        If there is no such tracker, or an option does not fit it.
    """
    return {name: TRACKERS.read(options, f"tracking.{name}") for name, options in tracking.items()}


class Trackers:
    """Hands each line of metrics to every tracker. The run goes on without one that fails.

    Parameters
    ----------
    tracking : Mapping[str, TrackerConfig]
        The trackers' options, by their names.
    run_dir : Path
        The run folder.

    Raises
    ------
    SettingError
        If one cannot be read or opened.
    """

    def __init__(self, tracking: Mapping[str, TrackerConfig], run_dir: Path) -> None:
        self._writers = {name: _open(name, one, run_dir) for name, one in read_trackers(tracking).items()}
        self._failed: set[str] = set()

    def log(self, line: Line) -> None:
        """Hand out one line; of a tracker that fails, only the first failure is logged.

        It is asked again with the next line, since what stands between a run and a server may come back.
        """
        for name, write in self._writers.items():
            try:
                write(line)
            except Exception:  # of a user's own, or of a server that is away: no reason to lose the run
                if name not in self._failed:
                    log.exception("tracking.%s failed; the run goes on, and metrics.jsonl has all lines", name)
                self._failed.add(name)


def _open(name: str, tracker: Tracker, run_dir: Path) -> Callable[[Line], None]:
    try:
        return tracker.open(run_dir)
    except FedPhDError:
        raise
    except Exception as error:  # a user's own may raise anything
        raise SettingError(f"tracking.{name}", tracker.kind, f"cannot be opened ({error})") from error

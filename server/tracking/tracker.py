"""What a tracker is: a choice in the group `tracking`, which takes each round's metrics elsewhere."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from fedphd.common.choices import Affects, Choice, Choices

Line = Mapping[str, object]


class Tracker(Choice):
    """Takes metrics elsewhere than into `metrics.jsonl` (`conf/tracking/`)."""

    affects: ClassVar[Affects] = Affects.NOTHING

    def check_installed(self) -> None:
        """Find out before the run, without a trace, whether it can be opened.

        Raises
        ------
        SettingError
            If something that it needs is missing, such as a package.
        """

    @abstractmethod
    def open(self, run_dir: Path) -> Callable[[Line], None]:
        """Open it at the run's start, or when the run is resumed.

        Parameters
        ----------
        run_dir : Path
            The run folder; its `config.yaml` is there.

        Returns
        -------
        Callable[[Line], None]
            Takes each line of `metrics.jsonl`, which has the number of the root round as ``round``. The run may end at
            any time: what it was given must be safe when it returns.
        """


TRACKERS = Choices("tracking", Tracker)  # type: ignore[type-abstract]

"""A run as the comparison sees it, and whether it may take part."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fedphd.common.choices import Affects
from fedphd.common.config import affects
from fedphd.common.errors import SettingError
from fedphd.common.run.events import Fail
from fedphd.common.run.figures import one_line
from fedphd.common.run.metrics import Metrics
from fedphd.launch.compare.settings import UNSET, Settings, settings_of
from fedphd.launch.report.recorded_run import RecordedRun


@dataclass(frozen=True)
class Run:
    """A run of the comparison.

    Attributes
    ----------
    name : str
        Its folder.
    folder : RecordedRun
        What the folder holds.
    settings : Settings
        What makes it another experiment than others.
    """

    name: str
    folder: RecordedRun
    settings: Settings

    @classmethod
    def read(cls, run_dir: Path, name: str) -> "Run":
        """Read the run in the folder `run_dir`, to be called `name`."""
        folder = RecordedRun.read(run_dir)
        return cls(name, folder, settings_of(folder.config))

    @property
    def seed(self) -> int:
        """The seed of all its random choices."""
        return int(self.folder.setting("seed"))

    @property
    def final(self) -> Metrics:
        """Metrics of its last root round; of a run that `flaw` has nothing against."""
        assert self.folder.latest is not None
        return self.folder.latest

    @property
    def measured(self) -> tuple[str, float] | None:
        """Name and final value of its quality measure."""
        return self.folder.evaluations[-1].quality if self.folder.evaluations else None


def flaw(run: Run) -> str | None:
    """Say why a run cannot be averaged with others: it failed, is not finished, or cannot be read."""
    folder = run.folder
    if not isinstance(folder.setting("seed"), int) or not isinstance(folder.setting("rounds"), int):
        return "config.yaml cannot be read"
    done, planned = folder.latest.round if folder.latest else 0, folder.setting("rounds")
    ending = folder.history.ending
    if isinstance(ending, Fail):
        return f"failed after round {done} of {planned}: {one_line(ending.reason)}"
    if ending is None:
        return f"not finished: round {done} of {planned}"
    return None if done == planned else f"metrics.jsonl ends with round {done} of {planned}"


def check_same_measure(runs: Iterable[Run]) -> None:
    """Refuse runs whose quality was measured in different ways.

    Other extractors, other numbers of images and other real images give other distances for the same model.

    Raises
    ------
    SettingError
        Naming the setting in which the measurements differ, its values, and a run for each.
    """
    measured = [run for run in runs if run.measured is not None]
    for key in dict.fromkeys(key for run in measured for key in run.settings):
        if Affects.MEASUREMENT not in affects(key):
            continue
        examples = {run.settings.get(key, UNSET): run.name for run in reversed(measured)}
        if len(examples) > 1:
            where = ", ".join(f"{value} in {name}" for value, name in sorted(examples.items()))
            advice = f"quality that was measured differently cannot stand in one column ({where}); compare them apart"
            raise SettingError(key, " and ".join(sorted(examples)), advice)

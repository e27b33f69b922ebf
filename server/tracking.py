"""Metrics for TensorBoard, beside `metrics.jsonl`: the extra `tracking` brings what it needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fedphd.common.config import TrackingConfig
from fedphd.common.errors import SettingError


class Tracker(Protocol):
    """Takes each round's line of metrics."""

    def log(self, line: Mapping[str, object]) -> None:
        """Take one line; its numbers are drawn against ``round``."""


class NoTracker:
    """Tracks nothing."""

    def log(self, line: Mapping[str, object]) -> None:
        """Let the line go."""


def require_tensorboard() -> Any:
    """Import TensorBoard's `SummaryWriter`.

    Raises
    ------
    SettingError
        If TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional dependency
    except ImportError:
        advice = "TensorBoard is not installed; install the extra: pip install 'fedphd[tracking]'"
        raise SettingError("tracking.tensorboard", True, advice) from None
    return SummaryWriter


class TensorBoardTracker:
    """Writes TensorBoard event files, as scalars named like the metrics.

    Parameters
    ----------
    folder : Path
        Where the event files go; ``tensorboard --logdir`` reads it.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = require_tensorboard()(str(folder))

    def log(self, line: Mapping[str, object]) -> None:
        """Take one line; its numbers are drawn against ``round``."""
        step = line["round"]
        for name, value in line.items():
            if name != "round" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, step)
        self._writer.flush()


def make_tracker(config: TrackingConfig, run_dir: Path) -> Tracker:
    """Make the tracker that the configuration asks for."""
    return TensorBoardTracker(run_dir / "tensorboard") if config.tensorboard else NoTracker()

"""Metrics for TensorBoard; the extra `tracking` brings what it needs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedphd.common.errors import SettingError
from fedphd.server.tracking.tracker import TRACKERS, Line, Tracker


@TRACKERS.register("tensorboard")
class TensorBoard(Tracker):
    """Writes TensorBoard event files into the run folder, as scalars named like the metrics."""

    def check_installed(self) -> None:
        """Check that TensorBoard is installed.

        Raises
        ------
        SettingError
            If it is not.
        """
        _summary_writer()

    def open(self, run_dir: Path) -> Callable[[Line], None]:
        """Open the folder that ``tensorboard --logdir`` reads."""
        writer = _summary_writer()(str(run_dir / "tensorboard"))

        def write(line: Line) -> None:
            for name, value in line.items():
                if name != "round" and isinstance(value, int | float):
                    writer.add_scalar(name, value, line["round"])
            writer.flush()

        return write


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional dependency
    except ImportError:
        advice = "TensorBoard is not installed; install the extra: pip install 'fedphd[tracking]'"
        raise SettingError("tracking", "tensorboard", advice) from None
    return SummaryWriter

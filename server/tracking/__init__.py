"""Where metrics go in addition to `metrics.jsonl`: trackers, one file for each; importing this registers them all."""

from fedphd.server.tracking.tensorboard import TensorBoard
from fedphd.server.tracking.tracker import TRACKERS, Line, Tracker
from fedphd.server.tracking.trackers import Trackers, read_trackers

__all__ = ["TRACKERS", "Line", "TensorBoard", "Tracker", "Trackers", "read_trackers"]

import sys
from pathlib import Path

import pytest
from helpers import small_config

from fedphd.common.config import TrackingConfig
from fedphd.common.errors import SettingError
from fedphd.server.tracking import make_tracker


def test_tensorboard_gets_each_number_of_a_line(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = make_tracker(TrackingConfig(tensorboard=True), tmp_path)
    tracker.log({"round": 3, "loss": 0.25, "phase": "sparse", "class_share/7": 0.5})
    tracker.log({"round": 4, "loss": None})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(events.Tags()["scalars"]) == ["class_share/7", "loss"]
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(3, 0.25)]


def test_without_tensorboard_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingError, match=r"tracking\.tensorboard=true.*fedphd\[tracking\]"):
        make_tracker(TrackingConfig(tensorboard=True), tmp_path)


def test_nothing_is_written_by_default(tmp_path: Path) -> None:
    make_tracker(small_config().tracking, tmp_path).log({"round": 1, "loss": 1.0})
    assert not list(tmp_path.iterdir())

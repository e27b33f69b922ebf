import logging
import sys
from pathlib import Path

import pytest
from helpers import small_config

from fedphd.common.config import TrackerConfig
from fedphd.common.errors import SettingError
from fedphd.server.recorder import check_outlets
from fedphd.server.tracking import Trackers

OWN = """
from fedphd.common.paths import UserPath
from fedphd.server.tracking import Tracker

class Notebook(Tracker):
    file: UserPath

    def open(self, run_dir):
        def write(line):
            with self.file.open("a") as target:
                target.write(f"{run_dir.name} {line['round']}\\n")
        return write

class Broken(Tracker):
    def open(self, run_dir):
        def write(line):
            raise ConnectionError("the server is away")
        return write

class Shut(Tracker):
    def open(self, run_dir):
        raise RuntimeError("no key")

class Unwritten(Tracker):
    pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_trackers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_trackers"
    sys.modules.pop("own_trackers", None)


def carried(**trackers: dict[str, object]) -> dict[str, TrackerConfig]:
    return {name: TrackerConfig.model_validate(one) for name, one in trackers.items()}


def test_tensorboard_gets_each_number_of_a_line(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trackers = Trackers(small_config("tracking=tensorboard").tracking, tmp_path)
    trackers.log({"round": 3, "loss": 0.25, "phase": "sparse", "class_share/7": 0.5})
    trackers.log({"round": 4, "loss": None})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(events.Tags()["scalars"]) == ["class_share/7", "loss"]
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(3, 0.25)]


def test_without_tensorboard_no_run_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingError, match=r"^tracking=tensorboard: .*fedphd\[tracking\]"):
        check_outlets(small_config("tracking=tensorboard"), tmp_path)


def test_looking_for_a_tracker_leaves_no_trace(tmp_path: Path) -> None:
    check_outlets(small_config("tracking=tensorboard"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_by_default(tmp_path: Path) -> None:
    Trackers(small_config().tracking, tmp_path).log({"round": 1, "loss": 1.0})
    assert not list(tmp_path.iterdir())


def test_one_that_fails_leaves_the_others_and_is_told_of_once(
    own: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = tmp_path / "notes.txt"
    broken, good = {"kind": f"{own}:Broken"}, {"kind": f"{own}:Notebook", "file": notes}
    trackers = Trackers(carried(first=broken, second=good), tmp_path / "run")
    with caplog.at_level(logging.ERROR):
        for number in range(3):
            trackers.log({"round": number})
    assert notes.read_text() == "run 0\nrun 1\nrun 2\n"
    (record,) = caplog.records
    assert "tracking.first failed" in record.getMessage()
    assert "the server is away" in str(record.exc_info)


@pytest.mark.parametrize(
    ("options", "key", "advice"),
    [
        ({"kind": "tensorbord"}, "tracking.mine.kind", "did you mean tensorboard"),
        ({"kind": "own_trackers:Nothing"}, "tracking.mine.kind", "cannot be imported"),
        ({"kind": "own_trackers:Unwritten"}, "tracking.mine.kind", "lacks open"),
        ({"kind": "own_trackers:Notebook"}, "tracking.mine.file", "required"),
        ({"kind": "own_trackers:Broken", "file": "x"}, "tracking.mine.file", "has no such option"),
        ({"kind": "own_trackers:Shut"}, "tracking.mine", "cannot be opened .no key"),
    ],
)
def test_trackers_that_cannot_be(own: str, tmp_path: Path, options: dict[str, object], key: str, advice: str) -> None:
    with pytest.raises(SettingError, match=advice) as caught:
        Trackers(carried(mine=options), tmp_path)
    assert caught.value.key == key


def test_a_trackers_path_travels_whole(own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = small_config(f"+tracking.mine.kind='{own}:Notebook'", "+tracking.mine.file=notes.txt")
    assert check_outlets(config, tmp_path).tracking == carried(
        mine={"kind": f"{own}:Notebook", "file": str(tmp_path / "notes.txt")}
    )

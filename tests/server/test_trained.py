import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import small_config

from fedphd.common.config import Config, to_yaml
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.run.run_folder import CHECKPOINTS
from fedphd.server import checkpoint
from fedphd.server.state import GlobalState
from fedphd.server.trained import trained_model


def run_of(folder: Path, *rounds: int, config: Config | None = None) -> Path:
    """Write what a run of digits leaves at its root; in round r, all weights of the aggregate are r, of the EMA -r."""
    config = config or small_config()
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(config))
    structure = pack(build_unet(config.model, 0).state_dict()).structure
    for number in rounds:
        raw, ema = (PackedModel(structure, np.full(structure.size, one, np.float32)) for one in (number, -number))
        checkpoint.save(GlobalState(number, raw, ema), folder / CHECKPOINTS, keep=10)
    return folder


def test_the_newest_average_or_aggregate(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 1, 2)
    config, model = trained_model(run)
    assert config == small_config() and (model.vector == -2).all()
    assert (trained_model(run, ema=False)[1].vector == 2).all()
    assert (trained_model(run, round=1)[1].vector == -1).all()


def test_a_copy_that_a_user_made_of_a_checkpoint_is_none(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 1, 2)
    shutil.copytree(run / CHECKPOINTS / "round_0002", run / CHECKPOINTS / "round_0002.bak")
    assert (trained_model(run)[1].vector == -2).all()


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 1, 2)
    (run / CHECKPOINTS / "round_0002" / "ema.safetensors").write_bytes(b"torn")
    assert (trained_model(run)[1].vector == -1).all()
    with pytest.raises(SettingError, match="--round=2: its checkpoint is damaged"):
        trained_model(run, round=2)


def test_one_that_is_removed_while_it_is_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run does that goes on, and keeps one."""
    run, read = run_of(tmp_path / "run", 1), checkpoint._read

    def overtaken(folder: Path) -> GlobalState:
        monkeypatch.setattr(checkpoint, "_read", read)
        checkpoint.save(GlobalState(2, *[read(folder).model] * 2), run / CHECKPOINTS, keep=1)
        return read(folder)

    monkeypatch.setattr(checkpoint, "_read", overtaken)
    assert trained_model(run)[1].structure
    assert [one.name for one in (run / CHECKPOINTS).iterdir()] == ["round_0002"]


def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"RUN=.*none: is not a run folder: there is no such folder"):
        trained_model(tmp_path / "none")
    with pytest.raises(SettingError, match=r"is not a run folder: has no config.yaml"):
        trained_model(tmp_path)
    run = run_of(tmp_path / "begun")
    with pytest.raises(SettingError, match=r"RUN=.*begun: has no checkpoint yet"):
        trained_model(run)
    run = run_of(tmp_path / "run", 1, 3)
    with pytest.raises(SettingError, match=r"--round=2: there is no checkpoint of this round in .*; of rounds: 1, 3"):
        trained_model(run, round=2)
    for state in run.glob(f"{CHECKPOINTS}/*/state.json"):
        state.write_text("{}")
    with pytest.raises(SettingError, match="its checkpoints are damaged, those of rounds 1, 3"):
        trained_model(run)


def test_a_run_of_another_version_is_told_from_one_of_this(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 1)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("ema_decay", "ema"))
    with pytest.raises(SettingError, match=r"RUN=.*: its config.yaml does not fit this version of fedphd \(ema"):
        trained_model(run)


def test_parts_that_clients_keep_are_no_model(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 1, config=small_config("exchange=udec"))
    with pytest.raises(SettingError, match=r"keep parts of their own \(exchange=udec\), so there is no global model"):
        trained_model(run)

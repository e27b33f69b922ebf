"""What a resumed run may change, and what would make it another run."""

from pathlib import Path

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

from fedphd.common.config import compose, to_yaml
from fedphd.common.errors import SettingError
from fedphd.launch.resume import from_resumed


def tree(*overrides: str) -> object:
    with hydra.initialize_config_module("fedphd.conf", version_base="1.3"):
        return OmegaConf.to_container(hydra.compose("config", overrides=list(overrides)), resolve=True)


@pytest.fixture
def started(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(to_yaml(compose(["rounds=10", "training.schedule=constant"])))
    return tmp_path


def resume(folder: Path, *overrides: str) -> object:
    return from_resumed(tree("training.schedule=constant", f"checkpoint.resume={folder}", *overrides))


def test_a_new_run_resumes_nothing() -> None:
    assert from_resumed(tree()) is None


def test_evaluation_and_runtime_may_change(started: Path) -> None:
    config = resume(started, "rounds=10", "evaluation=grid", "runtime=inprocess", "checkpoint.keep=5")
    assert config.checkpoint.keep == 5  # type: ignore[attr-defined]


def test_a_run_may_wait_longer_after_it_was_interrupted(started: Path) -> None:
    config = resume(started, "rounds=10", "topology.round_timeout=9999", "topology.quorum=0.1")
    assert config.topology.round_timeout == 9999  # type: ignore[attr-defined]


def test_more_rounds_keep_the_round_of_the_pruning(started: Path) -> None:
    config = resume(started, "rounds=100")
    assert config.pruning.sparse_rounds == 2  # type: ignore[attr-defined]  # a fifth of 10, not of 100


def test_a_falling_learning_rate_depends_on_the_number_of_rounds(started: Path) -> None:
    (started / "config.yaml").write_text(to_yaml(compose(["rounds=10"])))
    with pytest.raises(SettingError, match=r"^rounds=100: with training\.schedule=linear .* zero over 10 rounds, so"):
        resume(started, "rounds=100", "training.schedule=linear")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=3", r"^seed=3: .* has 0"),
        ("training.lr=0.5", r"^training\.lr=0\.5: .* has 0\.004"),
        ("method=fedavg", "has"),
    ],
)
def test_another_run_is_refused_by_its_first_other_setting(started: Path, override: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        resume(started, "rounds=10", override)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^checkpoint\.resume=.*is not a run folder"):
        resume(tmp_path)


def old_text(folder: Path) -> str:
    """Write a configuration as version 0.1.0 did: its group of prunings was called structure."""
    tree = yaml.safe_load((folder / "config.yaml").read_text())
    tree["structure"] = {**tree.pop("pruning"), "kind": "dense"}
    tree["runtime"] |= {"superlink": None, "root_certificates": None, "insecure": False}
    return yaml.safe_dump(tree, sort_keys=False)


def test_a_run_of_another_version_is_refused_by_the_name_of_its_file(started: Path) -> None:
    file = started / "config.yaml"
    file.write_text(old_text(started))
    with pytest.raises(SettingError) as caught:
        resume(started, "rounds=10")
    assert (caught.value.key, caught.value.value) == ("checkpoint.resume", file)
    assert caught.value.advice == (
        "is of another version of this program (pruning, structure); resume it with that version, or begin a new run"
    )


@pytest.mark.parametrize("text", ["", "a: [", "method: fedavg\nmethod"])
def test_a_damaged_configuration_is_refused(started: Path, text: str) -> None:
    (started / "config.yaml").write_text(text)
    with pytest.raises(SettingError, match=r"^checkpoint\.resume=.*config\.yaml: cannot be used"):
        resume(started, "rounds=10")


def test_what_followed_the_images_is_taken_from_the_run(tmp_path: Path) -> None:
    folder = [f"data.path={tmp_path}", "experiment=own_images"]
    own = compose([*folder, "model.unet.in_channels=1", "model.unet.out_channels=1", "model.unet.sample_size=32"])
    (tmp_path / "config.yaml").write_text(to_yaml(own))
    config = from_resumed(tree(*folder, f"checkpoint.resume={tmp_path}"))
    assert config is not None and config.model.unet == own.model.unet

"""`fedphd resume RUN`: what a run goes on with, by its own settings and those that are given."""

from pathlib import Path

import pytest
from compared_runs import write_run
from helpers import small_config

from fedphd.common.config import Config, compose, to_yaml
from fedphd.common.config.runtime import InProcess, Ray
from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.network.packing import pack
from fedphd.launch.commands import COMMANDS
from fedphd.launch.going_on import resumed
from fedphd.launch.python import load_model, read_run, train

SETTINGS = ["rounds=10", "training.schedule=constant", "evaluation.classifier_epochs=7", "seed=3"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return begun(tmp_path, compose(SETTINGS))


def begun(folder: Path, config: Config) -> Path:
    """Write what `resumed` reads of a run with a checkpoint."""
    (folder / "config.yaml").write_text(to_yaml(config))
    (folder / "checkpoints" / "round_0001").mkdir(parents=True)
    return folder


def options(config: Config) -> dict[str, object]:
    return config.model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_without_settings_it_is_the_run_as_it_was(run: Path) -> None:
    before = options(compose(SETTINGS))
    assert options(resumed(run, [])) == before | {"checkpoint": {"every": 1, "keep": 2, "resume": str(run)}}


def test_values_take_the_place_of_the_runs_own(run: Path) -> None:
    config = resumed(run, ["rounds=20", "checkpoint.keep=5", "runtime.device=cpu", "evaluation.images=50"])
    assert (config.rounds, config.checkpoint.keep, config.runtime.device) == (20, 5, "cpu")
    assert config.evaluation.images == 50
    assert config.pruning.sparse_rounds == 2  # type: ignore[attr-defined]  # a fifth of 10, not of 20
    assert config.seed == 3


def test_a_choice_takes_the_place_of_the_whole_group(run: Path) -> None:
    config = resumed(run, ["runtime=inprocess", "evaluation=grid", "runtime.device=cpu"])
    assert isinstance(compose(SETTINGS).runtime, Ray) and isinstance(config.runtime, InProcess)
    assert config.evaluation.extractor is None and "classifier_epochs" not in options(config)["evaluation"]  # type: ignore[operator]


def test_trackers_come_and_go(run: Path) -> None:
    assert list(resumed(run, ["tracking=tensorboard"]).tracking) == ["tensorboard"]
    (run / "config.yaml").write_text(to_yaml(compose([*SETTINGS, "tracking=tensorboard"])))
    assert list(resumed(run, []).tracking) == ["tensorboard"]


def test_a_choice_of_ones_own_is_found(run: Path, tmp_path: Path) -> None:
    (tmp_path / "conf" / "evaluation").mkdir(parents=True)
    text = "extractor: null\nevery: 3\ngrid_images: 4\nimages: 0\nbatch_size: 4\n"
    (tmp_path / "conf" / "evaluation" / "mine.yaml").write_text(text)
    config = resumed(run, [f"hydra.searchpath=[{tmp_path / 'conf'}]", "evaluation=mine"])
    assert config.evaluation.every == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.lr=0.5", r"^training\.lr=0\.5: the run to resume has 0\.004; leave it so: fedphd resume "),
        ("codec=int8", r"^codec\..*: the run to resume has float32"),
        ("ema_decay=null", r"^ema_decay=null: the run to resume has 0\.9"),
        ("method=fedavg", r"^method=fedavg: cannot be chosen anew"),
        ("model=ddpm_cifar10", r"^model=ddpm_cifar10: cannot be chosen anew"),
        ("runtime=ry", r"^runtime=ry: there is no such choice; did you mean ray\?"),
        ("trainng.lr=0.5", r"^trainng\.lr=0\.5: there is no such setting; did you mean training\.lr\?"),
        ("hydra.run.dir=other", r"^hydra\.run\.dir=other: fedphd resume goes on in the run's own folder; leave it out"),
        ("checkpoint.resume=/nowhere", r"^checkpoint\.resume=/nowhere: fedphd resume goes on in the run's own folder"),
        ("~checkpoint", r"^checkpoint=null: is a group of options"),
        ("model.unet=3", r"^model\.unet"),
        ("~model.unet", r"^model\.unet"),
        ("rounds=1,2", "several choices need a sweep|rounds"),
        ("rounds", "a setting is given as group=choice or group.key=value"),
    ],
)
def test_what_cannot_change_is_refused_in_one_line(run: Path, override: str, said: str) -> None:
    with pytest.raises(FedPhDError, match=said) as raised:
        resumed(run, [override])
    assert len(str(raised.value).splitlines()) == 1


def test_a_finished_run_is_told_how_many_rounds_more(tmp_path: Path) -> None:
    write_run(tmp_path / "a", factor=0.5, seed=0)
    done = compose([]).rounds
    begun(tmp_path / "a", compose(["rounds=4", "training.schedule=constant"]))
    with pytest.raises(SettingError, match=r"^rounds=4: this run has finished with round \d+; for more, give rounds="):
        resumed(tmp_path / "a", [])
    assert resumed(tmp_path / "a", [f"rounds={done}"]).rounds == done
    (tmp_path / "a" / "config.yaml").write_text(to_yaml(compose(["rounds=4", "training.schedule=linear"])))
    with pytest.raises(SettingError, match="so begin anew"):
        resumed(tmp_path / "a", [])


def test_a_run_without_a_checkpoint_is_found_before_anything_starts(tmp_path: Path) -> None:
    config = small_config("rounds=2", "training.schedule=constant")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    with pytest.raises(SettingError, match=r"^RUN=.*: has no checkpoint to go on with"):
        resumed(tmp_path, [])
    begun(tmp_path, config)  # a damaged one
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(SettingError, match=r"^checkpoint\.resume=.*: holds no sound checkpoint to go on with"):
        COMMANDS["resume"]([str(tmp_path)])
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.name != ".lock"}
    assert after == before


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^RUN=.*nowhere: is not a run folder: it has no config\.yaml"):
        resumed(tmp_path / "nowhere", [])
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(SettingError, match=r"^RUN=.*config\.yaml: cannot be used"):
        resumed(tmp_path, [])


def test_what_followed_the_images_stays(tmp_path: Path) -> None:
    own = compose(["experiment=own_images", f"data.path={tmp_path}", "training.schedule=constant"])
    unet = {**own.model.unet, "in_channels": 1, "out_channels": 1, "sample_size": 32}
    found = own.model_copy(update={"model": own.model.model_copy(update={"unet": unet})})
    assert resumed(begun(tmp_path, found), []).model.unet == unet


def test_the_command_trains_on(tmp_path: Path) -> None:
    tiny = ["data.limit=40", "topology.clients=2", "topology.edges=1", "topology.edge_rounds=1", "sampler.steps=2"]
    config = small_config(*tiny, "rounds=1", "training.schedule=constant", "ema_decay=0.9", "evaluation.grid_images=1")
    run = train(config, tmp_path / "run")
    COMMANDS["resume"]([str(run.path), "rounds=2", "evaluation.grid_images=4"])
    again = read_run(run.path)
    assert [line["round"] for line in again.metrics] == [0, 1, 2]
    assert (again.config.rounds, again.config.evaluation.grid_images) == (2, 4)
    whole = train(config.model_copy(update={"rounds": 2}), tmp_path / "whole")
    assert pack(load_model(whole.path).state_dict()).hash == pack(load_model(run.path).state_dict()).hash
    with pytest.raises(SettingError, match=r"^rounds=2: this run has finished with round 2; for more, give rounds=4"):
        COMMANDS["resume"]([str(run.path)])

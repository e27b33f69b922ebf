"""`import fedphd`: what it offers, that it is quick, and the example of docs/python.md."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import small_config
from run_writer import metrics_line

import fedphd
from fedphd.common.config import to_yaml
from fedphd.common.network.packing import pack
from fedphd.common.run.run_folder import CHECKPOINTS
from fedphd.server import checkpoint

DOCUMENT = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the documented example; give its names."""
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    folder = tmp_path_factory.mktemp("example")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(example, names)  # the document's own
    return names | {"folder": folder}


def test_the_example_trains_and_draws(names: dict[str, Any]) -> None:
    run = names["run"]
    assert run.path == names["folder"] / "runs" / "from_python"
    assert [line["round"] for line in run.metrics] == [0, 1, 2]
    assert run.metrics[2]["parameters"] < run.metrics[0]["parameters"]
    assert run.checkpoints == (1, 2)
    assert run.config == names["config"]
    assert (run.path / "report.html").is_file() and (run.path / "first.png").is_file()


def test_the_model_is_the_one_that_was_evaluated(names: dict[str, Any]) -> None:
    run, unet = names["run"], names["unet"]
    state = checkpoint.load(run.path / CHECKPOINTS)
    assert state.ema is not None
    assert np.array_equal(pack(unet.state_dict()).vector, state.ema.vector)
    assert not unet.training
    assert sum(weight.numel() for weight in unet.parameters()) == run.metrics[2]["parameters"]


def test_the_model_of_a_round(names: dict[str, Any]) -> None:
    first, second = (pack(fedphd.load_model(names["run"].path, number).state_dict()) for number in (1, 2))
    assert first.structure == second.structure  # round 1 ends with the pruning
    assert not np.array_equal(first.vector, second.vector)
    with pytest.raises(fedphd.SettingError, match=r"round=7: there is no checkpoint of this round in .*: 1, 2"):
        fedphd.load_model(names["run"].path, 7)


def test_a_damaged_checkpoint_is_passed_over_or_refused(names: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(names["run"].path, folder)
    (folder / CHECKPOINTS / "round_0002" / "model.safetensors").write_bytes(b"torn")
    newest, first = (pack(fedphd.load_model(folder, number).state_dict()) for number in (None, 1))
    assert np.array_equal(newest.vector, first.vector)
    with pytest.raises(fedphd.SettingError, match="round=2: its checkpoint is damaged"):
        fedphd.load_model(folder, 2)


def test_training_again_gives_the_same_model(names: dict[str, Any], tmp_path: Path) -> None:
    again = fedphd.train(names["config"], tmp_path)
    old, new = (pack(fedphd.load_model(folder).state_dict()).vector for folder in (names["run"].path, again.path))
    assert np.array_equal(old, new)


def test_train_refuses_what_the_command_would(names: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(fedphd.SettingError, match="already holds a run"):
        fedphd.train(names["config"], names["run"].path)
    with pytest.raises(fedphd.SettingError, match=r"runtime=ray: .* compose with runtime=inprocess"):
        fedphd.train(fedphd.compose(), tmp_path / "ray")
    resumed = small_config(f"checkpoint.resume={tmp_path / 'other'}")
    with pytest.raises(fedphd.SettingError, match=r"checkpoint\.resume=.*: is another folder"):
        fedphd.train(resumed, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_counts_each_round_once(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(small_config()))
    lines = [(0, 3.0), (1, 2.0), (2, 1.5), (3, 1.0), (2, 1.25)]
    written = (json.dumps(metrics_line(one, loss=loss)) for one, loss in lines)
    (tmp_path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in written))
    run = fedphd.read_run(tmp_path)
    assert [(line["round"], line["loss"]) for line in run.metrics] == [(0, 3.0), (1, 2.0), (2, 1.25)]
    assert run.checkpoints == ()


def test_a_run_whose_clients_keep_parts_has_no_model_to_load(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(small_config("exchange=udec")))
    with pytest.raises(fedphd.SettingError, match=r"folder=.*: its clients keep parts of their own \(exchange=udec\)"):
        fedphd.load_model(tmp_path)


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(fedphd.SettingError, match=r"folder=.*: is not a run folder"):
        fedphd.read_run(tmp_path)


def test_compose_raises_errors_of_one_line() -> None:
    with pytest.raises(fedphd.SettingError, match="did you mean rounds"):
        fedphd.compose(["roundss=3"])
    with pytest.raises(fedphd.FedPhDError, match="a setting is given as"):
        fedphd.compose(["edges"])


def test_the_names_are_those_of_the_document() -> None:
    documented = set(re.findall(r"^\| `fedphd\.(\w+)", DOCUMENT.read_text(), re.MULTILINE))
    assert documented == set(fedphd.__all__)
    assert set(fedphd.__all__) <= set(dir(fedphd))
    assert all(hasattr(fedphd, name) for name in fedphd.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fedphd.nothing  # noqa: B018 - the access is the test


def test_the_import_is_quick(tmp_path: Path) -> None:
    code = (
        "import fedphd, os, sys; fedphd.SettingError, dir(fedphd); print(os.environ['OMP_WAIT_POLICY'], *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    policy, *modules = done.stdout.split()
    assert policy == "PASSIVE"
    assert not {"torch", "diffusers", "flwr", "hydra", "pydantic", "numpy"} & set(modules)

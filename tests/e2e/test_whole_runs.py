"""A whole tiny run in each runtime of this machine: the same model bit for bit, and the same kind of folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from fedphd.common.config import Config, compose
from fedphd.common.errors import SettingError
from fedphd.common.run.json_lines import read_lines
from fedphd.common.run.sole_writer import sole_writer
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate

TINY = [
    "rounds=3",
    "topology.participation=0.4",
    "training.batch_size=50",
    "sampler.steps=4",
    "evaluation.every=2",
    "evaluation.grid_images=9",
    "evaluation.images=20",
    "evaluation.final_images=null",
    "evaluation.classifier_epochs=2",
]
PRUNED_EARLY = "pruning.sparse_rounds=1"
FEDPHD = str(Path(sys.executable).parent / "fedphd")


def events(run_dir: Path, name: str) -> list[dict[str, object]]:
    return [entry for entry in read_lines(run_dir / "ledger.jsonl") if entry["event"] == name]


def final_model(run_dir: Path) -> str:
    return str(events(run_dir, "finish")[-1]["model"])


def run_in_process(run_dir: Path, *overrides: str) -> Config:
    config = compose([*TINY, "runtime=inprocess", *overrides])
    simulate(in_process_grid(config, run_dir), config, run_dir)
    return config


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("undisturbed")
    run_in_process(run_dir, PRUNED_EARLY)
    return run_dir


def test_the_run_folder_holds_what_a_user_looks_for(undisturbed: Path) -> None:
    assert sorted(path.name for path in (undisturbed / "samples").iterdir()) == [
        "round_0000.png",
        "round_0002.png",
        "round_0003.png",
    ]
    metrics = list(read_lines(undisturbed / "metrics.jsonl"))
    assert [line["round"] for line in metrics] == [0, 1, 2, 3]
    assert [line["phase"] for line in metrics[1:]] == ["sparse", "pruned", "pruned"]
    assert "fd_classifier" in metrics[-1] and "fd_classifier_reference" in metrics[-1]
    clients = json.loads((undisturbed / "partition.json").read_text())["clients"]
    assert clients["client-3"]["homes"] == ["edge-1", "edge-0"]
    assert not (undisturbed / "spool").exists()


def test_the_model_is_pruned_in_the_run_and_its_average_is_of_the_pruned_one(undisturbed: Path) -> None:
    (prune,) = events(undisturbed, "prune")
    assert prune["round"] == 1
    newest = undisturbed / "checkpoints" / "round_0003"
    model, ema = load_file(newest / "model.safetensors"), load_file(newest / "ema.safetensors")
    assert {name: array.shape for name, array in model.items()} == {name: array.shape for name, array in ema.items()}
    assert sum(array.size for array in model.values()) == prune["parameters_after"]
    # Ratio 0.2 rounds up to a quarter of each group of four channels: 32 -> 24.
    assert model["conv_in.weight"].shape[0] == 24


def test_bytes_of_each_hop_follow_from_the_plan(undisturbed: Path) -> None:
    last = list(read_lines(undisturbed / "metrics.jsonl"))[-1]
    (prune,) = events(undisturbed, "prune")
    dense, pruned = 4 * int(str(prune["parameters_before"])), 4 * int(str(prune["parameters_after"]))
    # 4 of 10 clients in each of 2 edge rounds; one dense root round and two pruned ones; two edges.
    assert last["access_down_bytes"] == last["access_up_bytes"] == 4 * 2 * (dense + 2 * pruned)
    assert last["backbone_down_bytes"] == last["backbone_up_bytes"] == 2 * (dense + 2 * pruned)


def test_same_config_and_seed_give_the_same_model(undisturbed: Path, tmp_path: Path) -> None:
    run_in_process(tmp_path / "again", PRUNED_EARLY)
    assert final_model(tmp_path / "again") == final_model(undisturbed)


def test_another_seed_gives_another_model(undisturbed: Path, tmp_path: Path) -> None:
    run_in_process(tmp_path / "other", PRUNED_EARLY, "seed=1")
    assert final_model(tmp_path / "other") != final_model(undisturbed)


def test_a_run_that_lost_its_last_round_goes_on_to_the_same_model(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "resumed"
    shutil.copytree(undisturbed, run_dir)
    newest = run_dir / "checkpoints" / "round_0003"
    (newest / "model.safetensors").write_bytes(b"torn")
    run_in_process(run_dir, PRUNED_EARLY, f"checkpoint.resume={run_dir}")
    assert events(run_dir, "resume")[0]["round"] == 2
    assert final_model(run_dir) == final_model(undisturbed)
    assert len(events(run_dir, "finish")) == 2


def test_flat_fedavg_has_no_backbone(tmp_path: Path) -> None:
    run_in_process(tmp_path, "method=fedavg", "topology=flat", "rounds=1", "topology.participation=0.2")
    last = list(read_lines(tmp_path / "metrics.jsonl"))[-1]
    assert last["backbone_up_bytes"] == last["backbone_down_bytes"] == 0
    assert last["access_up_bytes"] == 2 * 4 * int(str(last["parameters"]))


def test_pruned_at_the_start_every_message_is_small(tmp_path: Path) -> None:
    run_in_process(tmp_path, "method=fedphd_os", "rounds=1", "topology.participation=0.2")
    metrics = list(read_lines(tmp_path / "metrics.jsonl"))
    assert metrics[0]["parameters"] == metrics[1]["parameters"] == events(tmp_path, "prune")[0]["parameters_after"]
    assert metrics[1]["access_up_bytes"] == 2 * 2 * 4 * int(str(metrics[1]["parameters"]))


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="holds no sound checkpoint"):
        run_in_process(tmp_path, PRUNED_EARLY, f"checkpoint.resume={tmp_path}")
    assert "holds no sound checkpoint" in str(events(tmp_path, "fail")[0]["reason"])


@pytest.mark.ray
def test_ray_gives_the_same_model_as_one_process(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "ray"
    command = [FEDPHD, *TINY, PRUNED_EARLY, f"hydra.run.dir={run_dir}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert final_model(run_dir) == final_model(undisturbed)
    assert (run_dir / "report.html").stat().st_size > 10_000
    assert "root  round 3/3" in done.stdout


def test_a_used_run_folder_is_refused(undisturbed: Path) -> None:
    with pytest.raises(SettingError, match=r"hydra\.run\.dir=.*already holds a run; go on with fedphd resume "):
        run_in_process(undisturbed, PRUNED_EARLY)


def test_two_processes_never_train_in_one_folder(tmp_path: Path) -> None:
    with sole_writer(tmp_path), pytest.raises(SettingError, match="another process is training there"):
        run_in_process(tmp_path, PRUNED_EARLY)
    assert not (tmp_path / "ledger.jsonl").exists()  # the other process's ledger is left alone

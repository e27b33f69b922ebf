"""The `fedphd` command as a shell sees it: one line and exit code 2 for what cannot work, Hydra's own options."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

FEDPHD = str(Path(sys.executable).parent / "fedphd")


def fedphd(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([FEDPHD, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("arguments", "key_and_value", "advice"),
    [
        (["method=nope"], "method=nope", "fedphd, fedphd_os, fedphd_plus, fedprox"),
        (["exchange=null"], "exchange=null", "one of its choices by name"),
        (["rounds=-3"], "rounds=-3", "greater than 0"),
        (["topology.edges=11"], "topology.edges=11", "at most topology.clients=10"),
        (["data=npz", "data.path=missing.npz"], "missing.npz", "no such file"),
        (["data=npz"], "data.path=null", "data.path=/path/to/images"),
        (["data=npz", "data.path=no_images.npz"], "no_images.npz", "lacks "),
        (["pruning.ratio=1"], "pruning.ratio=1", "less than 1"),
        (["pruning.ratio=0.9"], "pruning.ratio=0.9", "at most 0.75"),
        (["training.bogus=1"], "training.bogus=1", "see conf/config.yaml"),
        (["training.batchsize=1"], "training.batchsize=1", "did you mean training.batch_size?"),
        (["trai", "rounds=1"], "trai", "there is no such command"),
        (["model=ddpm_cifar10"], "model=ddpm_cifar10", "1x8x8"),
        (["runtime.gpus_per_client=99"], "runtime.gpus_per_client=99", "use at most"),
        (["evaluation=fid", "evaluation.inception_weights=gone.pt"], "gone.pt", "evaluation.inception_weights"),
        (["evaluation.extractor=no.such:thing"], "evaluation.extractor=no.such:thing", "import"),
        (["runtime._target_=no.such.thing"], "runtime._target_=no.such.thing", "runtime=ray"),
        (["topology.homes=[[0,0]]", "topology.clients=1", "topology.edges=1"], "topology.homes[0]=[0, 0]", "each once"),
        (["checkpoint.resume=nowhere"], "nowhere", "not a run folder"),
    ],
)
def test_a_bad_setting_ends_in_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], key_and_value: str, advice: str
) -> None:
    np.savez(tmp_path / "no_images.npz", train_y=np.zeros(20, np.uint8))
    done = fedphd(tmp_path, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert key_and_value in line
    assert advice in line
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("runs/*"))  # no empty run folder is left behind


def test_hydra_shows_the_composed_configuration(tmp_path: Path) -> None:
    done = fedphd(tmp_path, "--cfg", "job", "method=fedavg", "topology=flat", "seed=3")
    assert done.returncode == 0
    assert "seed: 3" in done.stdout
    assert "edges: 0" in done.stdout


def test_a_sweep_of_an_experiment_trains_all_its_cells(tmp_path: Path) -> None:
    small = ["data=digits", "data.limit=200", "model=digits8", "rounds=1", "training.epochs=1", "runtime=inprocess"]
    drawn = ["evaluation=grid", "evaluation.grid_images=1", "sampler=ddim", "sampler.steps=2"]
    cells = ["method=feddiffuse_full", "topology.clients=2"]  # of all partitions, which the experiment names
    done = fedphd(tmp_path, "-m", "experiment=feddiffuse_table", *cells, *small, *drawn)
    assert done.returncode == 0, done.stderr
    runs = sorted(tmp_path.glob("runs/sweep_*/*/config.yaml"))
    kinds = [yaml.safe_load(run.read_text())["partition"]["kind"] for run in runs]
    assert kinds == ["iid", "dirichlet", "quantity"]

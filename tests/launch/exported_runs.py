"""Runs as `fedphd export` reads them, written without training, and what a fresh environment makes of their exports."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from helpers import small_config
from run_writer import metrics_line
from tiny_autoencoder import latent_overrides

from fedphd.common.config import Config, to_yaml
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.pruning import prune
from fedphd.common.run.run_folder import CHECKPOINTS
from fedphd.launch.commands import COMMANDS
from fedphd.server import checkpoint
from fedphd.server.state import GlobalState

TINY = ["model.unet.block_out_channels=[16,32]", "model.unet.norm_num_groups=4", "sampler.steps=5", "ema_decay=0.9"]
CONVNEXT = [
    *("model=feddiffuse_fmnist", "model.unet.sample_size=8", "model.unet.dim=8", "model.unet.dim_mults=[1,2]"),
    *("model.unet.attention_heads=2", "model.unet.attention_head_dim=8", "sampler.steps=5", "ema_decay=0.9"),
]
CLASSES = ["zero", "one", "two|three", "<b>"]
LABELS = ["model.classes=labels", "++model.unet.num_class_embeds=5", "sampler.guidance=2"]
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fedphd", "torch_pruning", "hydra", "flwr"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
"""


def write_run(folder: Path, *overrides: str, ratio: float | None = None) -> Path:
    """Write what a run leaves after two root rounds, with a U-Net of random weights, perhaps pruned."""
    config = small_config(*overrides)
    raw, ema = (_weights(config, seed, ratio) for seed in (0, 1))
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    checkpoint.save(GlobalState(2, raw, ema), folder / CHECKPOINTS, keep=2)
    clients = {f"client-{number}": {"counts": [10, number, 0, 2], "homes": ["edge-0"]} for number in range(4)}
    (folder / "partition.json").write_text(json.dumps({"class_names": CLASSES, "clients": clients}))
    quality = {
        "fd_classifier": 31.25,
        "fd_classifier_floor": 0.8,
        "fd_classifier_reference": 6.5,
        "kd_classifier": 0.01,
    }
    lines = [metrics_line(1, **quality), metrics_line(2, access_up_bytes=2_000_000)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def _weights(config: Config, seed: int, ratio: float | None) -> PackedModel:
    unet = build_unet(config.model, seed)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for weight in unet.parameters():  # what is zero at first, too
            weight.add_(0.05 * torch.randn_like(weight))
    if ratio is not None:
        unet, _ = prune(build_unet(config.model, 7), ratio) if seed else prune(unet, ratio)
    return pack(unet.state_dict())


def write_all(folder: Path, autoencoder: Path) -> dict[str, Path]:
    """Write a run of each kind of model."""
    latents = latent_overrides(autoencoder)
    return {
        "dense": write_run(folder / "dense", *TINY),
        "uniform": write_run(folder / "uniform", *TINY, ratio=0.25),
        "ddpm": write_run(folder / "ddpm", *TINY, "sampler=ddpm", "sampler.steps=5"),
        "irregular": write_run(folder / "irregular", *TINY, "model.unet.block_out_channels=[16,40]", ratio=0.25),
        "classes": write_run(folder / "classes", *TINY, *LABELS, ratio=0.25),
        "convnext": write_run(folder / "convnext", *CONVNEXT),
        "convnext_pruned": write_run(folder / "convnext_pruned", *CONVNEXT, ratio=0.25),
        "latents": write_run(folder / "latents", *TINY, *latents, "sampler=dpm_solver", "sampler.steps=5"),
        "latents_whole": write_run(folder / "latents_whole", *TINY, *latents),
    }


def card_code(export: Path) -> str:
    """Give the Python of an export's card."""
    (code,) = re.findall(r"```python\n(.*?)```", (export / "README.md").read_text(), re.DOTALL)
    return str(code)


def in_a_fresh_environment(codes: Mapping[str, str], folder: Path) -> str:
    """Run pieces of Python, each in a folder of its name, where this project cannot be imported."""
    script = [BLOCKED, "import os, json, torch", "torch.set_num_threads(1)", "from pathlib import Path"]
    for name, code in codes.items():
        (folder / name).mkdir(parents=True)
        script += [f"os.chdir({str(folder / name)!r})", code]
    script.append('assert not [name for name in sys.modules if name.partition(".")[0] == "fedphd"]')
    environment = {"HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1", "PATH": "", "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def command(*words: str | Path) -> None:
    """Run a `fedphd` command in this process."""
    first, *others = map(str, words)
    COMMANDS[first](others)

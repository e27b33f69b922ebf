"""What the images of a deployed client cost with and without the cache of decoded ones.

`python -m benchmarks.data_cache [IMAGES] [SIDE] [SIZE]`: makes so many JPEGs (5,000) of a side in pixels (256), and
then lets new processes do, as a deployed client's do, what a registration and three messages to train do with them:
find them, count labels, and give all once in batches, resized to a size (64). There is no network in it, whose cost is
the same both times. Prints CPU seconds (user and system) and peak memory of each process, and first what importing
costs alone. The peak counts mapped pages of the file too, which the system takes back where memory is short; "own" is
what it cannot take back, while the images are at hand.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fedphd.client.histogram import reported_counts
from fedphd.client.latents import training_set
from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.common.config import Config, compose

IMAGES, SIDE, SIZE = 5_000, 256, 64
MESSAGES = ("import", "register", "train", "train", "train")
BATCH = 32
Cost = tuple[float, float, float]  # CPU seconds, peak and own MB


def make_images(folder: Path, images: int, side: int) -> None:
    """Save JPEGs of two classes: soft shapes with some noise, so that they are as large as photographs."""
    rng = np.random.default_rng(0)
    for number in range(images):
        soft = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        noisy = np.asarray(soft) + rng.normal(0, 8, (side, side, 1))
        path = folder / f"class-{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def config_of(folder: Path, size: int, cache: str) -> Config:
    network = ["model.unet.in_channels=3", "model.unet.out_channels=3", f"model.unet.sample_size={size}"]
    client = ["topology.clients=1", "topology.edges=1", "partition=iid", "evaluation=grid", f"data.cache={cache}"]
    return compose(["data=folder", f"data.path={folder}", f"data.size={size}", "data.holdout=0", *network, *client])


def answer(kind: str, folder: Path, size: int, cache: str) -> None:
    """Do with a client's images what a message does, and print this process's own memory."""
    config = config_of(folder, size, cache)
    place = Place(config, 0, folder.parent / "state", folder.parent / "latents")
    held: object = None
    if kind == "register":
        local = local_data(config, 0)
        held = local.images
        reported_counts(config, 0, place.folder)
    elif kind == "train":
        held = images = training_set(place, torch.device("cpu"))
        for indices in torch.randperm(len(images)).split(BATCH):
            images.batch(indices, flip=True)
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()  # of Linux
    print(next(line.split()[1] for line in lines if line.startswith("RssAnon")), id(held))


def measure(kind: str, folder: Path, size: int, cache: str) -> Cost:
    """Let a new process answer a message."""
    command = [sys.executable, "-m", "benchmarks.data_cache", "--answer", kind, str(folder), str(size), cache]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"a message {kind} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, int(told.split()[0]) / 1024


def main(images: int = IMAGES, side: int = SIDE, size: int = SIZE) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name) / "images", Path(name) / "state" / "images"
        folder.mkdir()
        make_images(folder, images, side)
        costs = {where: [measure(kind, folder, size, where) for kind in MESSAGES] for where in ("null", str(cache))}
        kept = sum(file.stat().st_size for file in cache.glob("*.pixels")) / 1e6
    print(f"{images} JPEGs of {side}x{side} as {size}x{size} in colour: {kept:.1f} MB on the disk")
    print("message     CPU s  cached  ratio    peak MB  cached  ratio    own MB  cached  ratio")
    for kind, without, with_cache in zip(MESSAGES, *costs.values(), strict=True):
        seconds, peak, own = ((one, other, other / one) for one, other in zip(without, with_cache, strict=True))
        columns = [f"{one:7.2f} {other:7.2f} {ratio:6.2f}" for one, other, ratio in (seconds, peak, own)]
        print(f"{kind:8}  {'   '.join(columns)}")
    beyond = [sum(cost[0] - one[0][0] for cost in one[1:]) for one in costs.values()]
    print(f"all messages, without importing: {beyond[0]:.1f} and {beyond[1]:.1f} CPU s, {beyond[1] / beyond[0]:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--answer"]:
        answer(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main(*map(int, sys.argv[1:]))

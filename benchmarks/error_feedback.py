"""Error feedback beside none, where changes go up as 4-bit integers: digits, two clients with five classes each.

The same short run with float32, and with int4 changes up with and without error feedback, for three seeds; down is
float32, so that what rounding takes away on the way up is all that differs. Prints how far the final global model is
from the float32 run's, relative to how far that one went from the first model, and the loss on held-out digits, with
the same noise for all.

float16 shows how much of a distance is training that magnifies any difference: with the step size of DDPM that is used
here, next to nothing. With the twenty times larger one of `conf/config.yaml` and all digits, float16 ended 5 % away
(one seed), and int4 50 to 60 % with and without error feedback, at the same loss.
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import torch
from numpy.linalg import norm

from fedphd.common.config import Config, compose
from fedphd.common.data import load
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import DISTANCES
from fedphd.common.training.noise_prediction import simple_loss
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.pruning_schedule import load_unet
from fedphd.server.simulation import simulate

OVERRIDES = [
    "method=fedavg",
    "runtime=inprocess",
    "rounds=10",
    "topology=flat",
    "topology.clients=2",
    "topology.participation=1",
    "partition.classes_per_client=5",
    "data.limit=800",
    "training.lr=2e-4",
    "training.schedule=constant",
    "ema_decay=null",
    "evaluation=grid",
    "evaluation.every=99",
    "evaluation.grid_images=1",
    "sampler.steps=1",
]
CODECS = {
    "float32": "codec=float32",
    "float16": "codec.access.up={kind: float16, of: change, error_feedback: false, zstd: null}",
    "int4 with": "codec.access.up={kind: int4, of: change, error_feedback: true, zstd: null}",
    "int4 without": "codec.access.up={kind: int4, of: change, error_feedback: false, zstd: null}",
}
SEEDS = (0, 1, 2)
DRAWS = 20  # times and noises for each held-out image


def train(config: Config, run_dir: Path) -> PackedModel:
    """Train, and give the final global model."""
    return simulate(in_process_grid(config, run_dir), config, run_dir).model


@torch.no_grad()
def held_out_loss(config: Config, model: PackedModel) -> float:
    """DDPM's loss on the held-out digits, with the same times and noises for every model."""
    images = TrainingSet(torch.from_numpy(load(config.data, "holdout", config.seed).images()))
    x_0 = images.batch(torch.arange(len(images)), flip=False)
    unet, diffusion = load_unet(config, model).eval(), Diffusion(config.diffusion)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return mean(float(simple_loss(unet, x_0, diffusion, DISTANCES["mse"])) for _ in range(DRAWS))


def measure(seed: int, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Yield codec, relative distance to the float32 run's model, and held-out loss."""
    configs = {name: compose([*OVERRIDES, f"seed={seed}", codec]) for name, codec in CODECS.items()}
    exact = None
    for name, config in configs.items():
        model = train(config, folder / f"{seed} {name}")
        exact = model if exact is None else exact  # float32 is the first codec
        first = pack(build_unet(config.model, seed).state_dict())
        distance = float(norm(model.vector - exact.vector) / norm(exact.vector - first.vector))
        yield name, distance, held_out_loss(config, model)


def main() -> None:
    """Train and print: twelve runs, some 20 seconds each on an idle core."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CODECS}
    print("\n4-bit changes up, with and without error feedback: ten rounds on digits, two clients of five classes")
    print("seed  codec         distance to float32's model  held-out loss")
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            for name, distance, loss in measure(seed, Path(folder)):
                found[name].append((distance, loss))
                print(f"{seed:4}  {name:12}  {distance:27.2%}  {loss:13.5f}", flush=True)
    for name, own in found.items():
        distances, losses = zip(*own, strict=True)
        print(f"mean  {name:12}  {mean(distances):27.2%}  {mean(losses):13.5f}")


if __name__ == "__main__":
    main()

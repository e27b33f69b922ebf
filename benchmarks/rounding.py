"""What becomes of small changes where 8-bit weights travel in both directions (FedDM-quant): nearest, random, fed back.

First, numbers alone: weights of standard deviation 0.03 are sent, changed a little, and sent back, by one client and by
the mean of several. Printed are the cosine between the change that comes back and the one that was made, and its share
of it (the slope; 1: unbiased).

Then a short training at a small step size (digits, two clients with five classes each, all else as in
benchmarks/error_feedback.py), with every way of rounding: the mean training loss of the last five rounds, and the loss
on held-out digits with the same noise for all.
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.linalg import norm

from benchmarks.error_feedback import OVERRIDES, held_out_loss
from fedphd.common.config import Config, compose
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import CODECS, Codec
from fedphd.common.wire.codec.coded import code
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate

LAYER = Structure((("conv.weight", (128, 128, 3, 3)),))
WEIGHTS, CHANGES, CLIENTS = 0.03, (2.3e-4, 4.5e-5), (1, 10, 100)
TRAINING = ["method=feddm_quant", "rounds=15", "data.limit=200", "training.lr=2e-5"]
SEEDS = (0, 1)


def way(of: str, rounding: str, error_feedback: bool) -> str:
    """Write the options of one direction."""
    return f"{{kind: int8, of: {of}, rounding: {rounding}, error_feedback: {str(error_feedback).lower()}, zstd: null}}"


NEAREST, RANDOM, FED_BACK = (
    way("weights", "nearest", False),
    way("weights", "stochastic", False),
    way("weights", "nearest", True),
)
WAYS = {  # down, up
    "float32": None,
    "nearest both ways": (NEAREST, NEAREST),
    "random both ways": (RANDOM, RANDOM),
    "fed back both ways": (FED_BACK, FED_BACK),
    "fed back down, random up": (FED_BACK, RANDOM),
    "nearest down, fed back up": (NEAREST, FED_BACK),
    "changes up, nearest down": (NEAREST, way("change", "nearest", True)),
    "changes up, fed back down": (FED_BACK, way("change", "nearest", True)),
}


def int8(rounding: str) -> Codec:
    """Give the codec of 8-bit weights."""
    return CODECS.read({"kind": "int8", "of": "weights", "rounding": rounding, "error_feedback": False, "zstd": None})


def survival(rounding: str, rms: float, clients: int) -> tuple[float, float]:
    """Give cosine and share of a change that so many clients make and send back."""
    rng = np.random.default_rng(0)
    weights = PackedModel(LAYER, rng.normal(0, WEIGHTS, LAYER.size).astype(np.float32))
    sent = code(weights, int8("nearest")).decode()
    change = rng.normal(0, rms, LAYER.size).astype(np.float32)
    trained = PackedModel(LAYER, sent.vector + change)
    back = [code(trained, int8(rounding), seed=seed).decode().vector - sent.vector for seed in range(clients)]
    came = np.mean(back, axis=0)
    return float(came @ change / norm(came) / norm(change)), float(came @ change / (change @ change))


def trained(config: Config, folder: Path) -> tuple[float, float]:
    """Train; give the last rounds' mean loss, and the loss on held-out images."""
    state = simulate(in_process_grid(config, folder), config, folder)
    return mean(loss or 0.0 for loss in state.losses[-5:]), held_out_loss(config, state.model)


def measure(seed: int, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Yield a way of rounding, and both losses."""
    for name, ways in WAYS.items():
        hops = ["codec=float32"]
        if ways is not None:
            hops = [f"codec.access.{lane}={one}" for lane, one in zip(("down", "up"), ways, strict=True)]
        config = compose([*OVERRIDES, *TRAINING, f"seed={seed}", *hops])
        yield name, *trained(config, folder / f"{seed} {name}")


def main() -> None:
    """Compute and print; each of the trainings takes about half a minute on an idle core."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    print(f"\na change of 8-bit weights of sd {WEIGHTS} that is made by the receiver and sent back")
    print("rounding    rms of change  clients  cosine  share")
    for rounding in ("nearest", "stochastic"):
        for rms in CHANGES:
            for clients in CLIENTS:
                cosine, share = survival(rounding, rms, clients)
                print(f"{rounding:10}  {rms:13.1e}  {clients:7}  {cosine:6.3f}  {share:5.3f}")
    print(f"\n{' '.join(TRAINING)}: losses")
    print("seed  8-bit weights              training  held out")
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            for name, loss, held_out in measure(seed, Path(folder)):
                print(f"{seed:4}  {name:26} {loss:8.4f}  {held_out:8.4f}", flush=True)


if __name__ == "__main__":
    main()

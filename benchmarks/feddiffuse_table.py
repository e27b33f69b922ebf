"""FedDiffuse's communication, cell by cell: what real runs count, what `fedphd cost` says, and what the paper prints.

Each cell of the paper's main table is trained whole, 15 rounds with K clients and its own U-Net for Fashion-MNIST, but
on one image of noise for each client: what travels does not depend on the images. N is the number of parameters that
crossed in both directions, in 1e6. It takes some minutes: `python -m benchmarks.feddiffuse_table`.
"""

import logging
import tempfile
import time
from pathlib import Path

import numpy as np

from fedphd.common.config import Config, compose
from fedphd.common.run.json_lines import read_lines
from fedphd.common.wire.traffic import total
from fedphd.launch.cost.estimate import estimate
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate

ROUNDS = 15
# Column N of the main table. With 5 clients, USPLIT's depends on coins (340.35 to 348.81), and UDEC's is 2.5 times the
# rounded number for 2 clients.
PAPER = {
    "full": {2: 179.78, 5: 449.45, 10: 898.89},
    "usplit": {2: 134.83, 5: 343.73, 10: 674.17},
    "ulatdec": {2: 105.50, 5: 263.75, 10: 527.51},
    "udec": {2: 47.54, 5: 118.85, 10: 237.69},
}


def cell(mode: str, clients: int, folder: Path) -> Config:
    data = folder / f"noise_{clients}.npz"
    x, y = np.random.default_rng(0).integers(0, 256, (clients, 28, 28), np.uint8), np.zeros(clients, np.int64)
    np.savez(data, train_x=x, train_y=y, test_x=x, test_y=y)
    return compose(
        [
            f"method=feddiffuse_{mode}",
            "model=feddiffuse_fmnist",
            "topology=flat",
            "topology.participation=1",
            f"topology.clients={clients}",
            f"rounds={ROUNDS}",
            "ema_decay=null",
            "data=npz",
            f"data.path={data}",
            "partition=iid",
            "training.batch_size=1",
            "training.keep_optimizer=false",
            "sampler.steps=1",
            "evaluation=grid",
            f"evaluation.every={ROUNDS}",
            "evaluation.grid_images=1",
            f"checkpoint.every={ROUNDS}",
            "runtime=inprocess",
        ]
    )


def counted(run_dir: Path) -> int:
    """Parameters of all messages with models, by the ledger; images that clients draw to measure are none."""
    return sum(
        int(entry["parameters"])
        for entry in read_lines(run_dir / "ledger.jsonl")
        if entry["event"] in ("send", "accept") and entry.get("task") != "draw"
    )


def main() -> None:
    """Train every cell, and print N three times."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    print("mode      K  N by the ledger  by `fedphd cost`   1e6     paper   seconds")
    for mode, printed in PAPER.items():
        for clients, paper in printed.items():
            with tempfile.TemporaryDirectory() as folder:
                config, started = cell(mode, clients, Path(folder)), time.perf_counter()
                simulate(in_process_grid(config, Path(folder) / "run"), config, Path(folder) / "run")
                seconds, ledger = time.perf_counter() - started, counted(Path(folder) / "run")
                said = total(estimate(config).lanes.values()).parameters
            print(
                f"{mode:8} {clients:2} {ledger:16,} {said:17,}  {ledger / 1e6:6.2f}  {paper:6.2f}  {seconds:7.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Keeping Adam's moments at the client between edge rounds, beside starting Adam anew in each.

The same short federated run on digits, twice in one process; prints the clients' mean loss and
`fd_classifier` over the rounds, and the ratio at the end. One seed: a tendency, not a law.
"""

import logging
import tempfile
from pathlib import Path

from fedphd.common.config import compose
from fedphd.common.run.json_lines import read_lines
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate

COMMON = ["method=fedavg", "runtime=inprocess", "rounds=30", "evaluation.every=10", "training.schedule=constant"]


def train(keep: bool, run_dir: Path) -> list[tuple[int, float, float]]:
    config = compose([*COMMON, f"training.keep_optimizer={keep}"])
    simulate(in_process_grid(config, run_dir), config, run_dir)
    lines = [line for line in read_lines(run_dir / "metrics.jsonl") if line["round"] and "fd_classifier" in line]
    return [(line["round"], line["loss"], line["fd_classifier"]) for line in lines]


def main() -> None:
    logging.getLogger("flwr").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        kept, anew = (train(keep, Path(folder) / str(keep)) for keep in (True, False))
    print("round  loss kept  anew    fd_classifier kept  anew   ratio")
    for (number, loss, distance), (_, other_loss, other_distance) in zip(kept, anew, strict=True):
        ratio = distance / other_distance
        print(f"{number:5}  {loss:9.4f}  {other_loss:.4f}  {distance:18.1f}  {other_distance:5.1f}  {ratio:5.2f}")


if __name__ == "__main__":
    main()

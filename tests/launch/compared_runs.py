"""Folders of runs to compare, written with the run's own writers, since a comparison is made from them alone.

A run of `write_run` takes 10 clients, 2 edges and 2 edge rounds through 4 root rounds. Each round, 20 messages on the
access hop and 2 on the backbone carry 100,000 parameters (400,000 bytes) each way: in all 4 x 20 x 2 x 0.4 = 64 MB and
4 x 2 x 2 x 0.4 = 6.4 MB. They make 20 client epochs of 150 images each, with a U-Net of 8 M MACs: 80 client epochs,
12,000 image passes and 96 GMACs in all. Its quality is 400 / (1 + round) times its factor: 400, 133.333, 80 in rounds
0, 2 and 4.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from run_writer import RunWriter

from fedphd.common.run.events import Finish
from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.plain import plain
from fedphd.launch.compare.table import main_table

Change = Callable[[dict[str, Any]], None]
PROXIMAL = {"proximal": {"kind": "proximal", "weight": 0.1}}


def write_run(
    folder: Path,
    *,
    factor: float = 1.0,
    rounds: int = 4,
    edges: int = 2,
    change: Change = lambda line: None,
    **settings: object,
) -> Path:
    """Write a finished run of 4 planned root rounds; an unfinished one, if `rounds` is less.

    Without edges it has one edge round in each root round, so half of the client epochs and image passes.
    """
    folder.mkdir(parents=True)
    edge_rounds = 2 if edges else 1
    writer = RunWriter(folder, edges=edges, edge_rounds=edge_rounds, prune_after=None, every=2, planned=4)
    writer.start()
    for root_round in range(1, rounds + 1):
        writer.round(root_round)
    if rounds == 4:
        writer.ledger.write(Finish(seconds=60.0, model="0" * 64))

    def scale(line: dict[str, Any]) -> None:
        if "fd_classifier" in line:
            line["fd_classifier"] *= factor
        change(line)

    rewrite(folder, scale)
    tree = yaml.safe_load((folder / "config.yaml").read_text())
    for key, value in settings.items():
        *path, last = key.split("__")
        inner = tree
        for part in path:
            inner = inner[part]
        inner[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return folder


def rewrite(folder: Path, change: Change) -> None:
    """Change each line of a run's metrics."""
    file = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        change(line)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def by_name(comparison: Comparison) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in plain(comparison)["configurations"]}


def cells(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Give the table's cells by row and column."""
    table = main_table(comparison)
    return {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows}

"""Where the time of a round goes in a deployment: training, and waits that Flower and its processes add.

Runs a small tree in processes on loopback, over TLS, and reads its ledger. What a client adds is mostly
its SuperNode's look for messages every three seconds, which Flower fixes, and a new process with torch
and diffusers for each message; what an edge adds, its gateway's look and process, without torch.
"""

import tempfile
from pathlib import Path
from statistics import median

from fedphd.common.config import compose
from fedphd.common.run.json_lines import JsonObject, read_lines
from fedphd.launch.runtimes.processes import run

OVERRIDES = [
    "runtime=processes",
    "rounds=6",
    "partition=iid",
    "topology.clients=2",
    "topology.edges=2",
    "topology.homes=[[0],[1]]",
    "topology.edge_rounds=2",
    "topology.participation=1",
    "evaluation=grid",
    "evaluation.every=99",
    "sampler.steps=2",
]


def main() -> None:
    """Train, and print medians over rounds, edges and clients."""
    with tempfile.TemporaryDirectory() as folder:
        config, run_dir = compose(OVERRIDES), Path(folder) / "run"
        run_dir.mkdir()
        run(config, run_dir)
        entries = list(read_lines(run_dir / "ledger.jsonl"))
    print("\nA root round of two edge rounds in a deployment on loopback, seconds (median):")
    for name, seconds in _parts(entries).items():
        print(f"  {name:<58} {median(seconds):6.2f}")


def _parts(entries: list[JsonObject]) -> dict[str, list[float]]:
    parts: dict[str, list[float]] = {
        "root sends -> edge sends to its first client": [],
        "client: training": [],
        "client: message there and back, and its process": [],
        "edge has averaged -> root has its answer": [],
    }
    for entry in (one for one in entries if one["event"] == "accept"):
        root_round, edge_round, peer = entry["round"], entry["edge_round"], entry["peer"]
        sent = _time(entries, event="send", round=root_round, edge_round=edge_round, peer=peer)
        if entry["tier"] == "edge":
            parts["client: training"].append(entry["seconds"])
            parts["client: message there and back, and its process"].append(entry["time"] - sent - entry["seconds"])
            continue
        last = 2 * root_round - 1
        began = _time(entries, event="send", node=peer, edge_round=last - 1)
        averaged = _time(entries, event="aggregate", node=peer, edge_round=last)
        parts["root sends -> edge sends to its first client"].append(began - sent)
        parts["edge has averaged -> root has its answer"].append(entry["time"] - averaged)
    return parts


def _time(entries: list[JsonObject], **facts: object) -> float:
    """Time of the first event with these facts."""
    return next(float(one["time"]) for one in entries if facts.items() <= {key: one.get(key) for key in facts}.items())


if __name__ == "__main__":
    main()

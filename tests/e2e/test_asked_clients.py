"""Whole tiny runs in which clients measure the model on images of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedphd.client.local_data import local_data
from fedphd.common.config import compose
from fedphd.common.config.topology import edge_ids
from fedphd.common.data import load
from fedphd.common.data.images import Pixels
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import pack
from fedphd.common.run.json_lines import JsonObject, read_lines
from fedphd.common.run.ledger import Ledger
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.virtual import VirtualEdgeGrid
from fedphd.launch.report import write_report
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.errands import Errands
from fedphd.server.evaluation.own_images import OwnImages
from fedphd.server.pruning_schedule import PruningSchedule
from fedphd.server.registry import register
from fedphd.server.simulation import simulate
from fedphd.server.state import GlobalState
from fedphd.server.strategy import HierarchicalStrategy

TINY = [
    *("runtime=inprocess", "rounds=2", "data.limit=120", "training.batch_size=25", "training.warmup_steps=5"),
    *("sampler.steps=2", "evaluation=grid", "evaluation.grid_images=4", "topology.clients=4", "partition=iid"),
]
HELD_OUT = "partition.holdout=0.2"
ASKING = [HELD_OUT, "evaluation.own=true", "evaluation.memorisation=6"]
CLIENTS = [f"client-{index}" for index in range(4)]


def run(run_dir: Path, *overrides: str) -> GlobalState:
    config = compose([*TINY, *overrides])
    return simulate(in_process_grid(config, run_dir), config, run_dir)


def told(run_dir: Path, event: str) -> list[JsonObject]:
    return [entry for entry in read_lines(run_dir / "ledger.jsonl") if entry["event"] == event]


def lines(run_dir: Path) -> list[dict[str, Any]]:
    return list(read_lines(run_dir / "metrics.jsonl"))


@pytest.mark.parametrize(
    "overrides",
    [
        ["method=fedavg", "topology=flat", "topology.clients=4", "topology.participation=1"],
        ["method=fedphd", "pruning.sparse_rounds=1", "codec=int8"],
        ["method=feddiffuse_udec"],
        ["method=feddiffuse_ulatdec", "evaluation.clients=averaged"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_clients_are_asked_and_the_model_is_the_same(tmp_path: Path, overrides: list[str]) -> None:
    asked = run(tmp_path / "asked", *overrides, *ASKING)
    silent = run(tmp_path / "silent", *overrides, HELD_OUT)
    assert asked.model.hash == silent.model.hash
    assert asked.traffic == silent.traffic
    assert not told(tmp_path / "silent", "assess")
    assert [one["peer"] for one in told(tmp_path / "asked", "assess")] == CLIENTS * 2
    assert [one["peer"] for one in told(tmp_path / "asked", "compare")] == CLIENTS
    first, last = lines(tmp_path / "asked")[1:]
    assert {f"own_loss/{client}" for client in CLIENTS} < first.keys()
    assert last["own_loss"] == pytest.approx(np.mean([last[f"own_loss/{client}"] for client in CLIENTS]))
    assert "copied_share" not in first and 0 <= last["copied_share"] <= 1
    own_parts = "diffuse" in overrides[0]
    assert (tmp_path / "asked" / "evaluation" / "nearest.png").exists() != own_parts
    page = write_report(tmp_path / "asked").read_text(encoding="utf-8")
    assert "The model of round 2 at each client" in page
    assert "Are generated images of round 2 copies?" in page
    assert ("Generated images and their nearest training images" in page) != own_parts


def measured(folder: Path, generated: Pixels) -> dict[str, float]:
    """Show images to real clients, through their edges, as if a model had drawn them."""
    config = compose([*TINY, "data.limit=600", "method=fedavg", HELD_OUT])
    clients, ledger = in_process_grid(config, folder), Ledger(folder / "ledger.jsonl")
    edges = [
        EdgeAggregator(edge, config, ledger, folder / "spool" / edge, folder / "edges" / edge)
        for edge in edge_ids(config.topology)
    ]
    grid, pruning = VirtualEdgeGrid(clients, edges), PruningSchedule(config, ledger)
    state = GlobalState(1, pack(build_unet(config.model, config.seed).state_dict()))
    registry = register(grid, config.topology, ledger)
    strategy = HierarchicalStrategy(config, registry, state, pruning, None, ledger, folder / "root")
    own = OwnImages(config, ledger, Errands(grid, strategy.site).assessments)
    return own.measure(1, len(generated), generated)


def test_a_model_that_draws_its_training_images_is_found_and_one_that_draws_new_ones_is_not(tmp_path: Path) -> None:
    """Of 20 training images, noised a little, all are copies; of digits that no client has, none."""
    config = compose([*TINY, "data.limit=600", "method=fedavg", HELD_OUT])
    trained = np.concatenate([local_data(config, index).images[:5] for index in range(4)])
    noise = np.random.default_rng(0).integers(-4, 5, trained.shape)
    found = measured(tmp_path / "copies", np.clip(trained + noise, 0, 255).astype(np.uint8))
    assert found["copied_share"] == 1.0
    assert [found[f"copied_share/{client}"] for client in CLIENTS] == [0.25] * 4
    assert found["authentic_share"] <= 0.75  # of each client's images, the five copies are not
    assert [one["flagged"] for one in told(tmp_path / "copies", "compare")] == [True] * 4

    found = measured(tmp_path / "new", load(config.data, "holdout", 0).images(np.arange(100)))
    assert found["copied_share"] == 0.0
    assert found["near_share"] <= 2 * found["near_share_reference"]
    assert found["authentic_share"] > found["authentic_share_reference"] - 0.15
    assert [one["flagged"] for one in told(tmp_path / "new", "compare")] == [False] * 4

"""Models that are told classes, in whole tiny runs, with what else travels and is cut."""

from pathlib import Path

import pytest

from fedphd.common.config import compose
from fedphd.common.run.json_lines import read_lines
from fedphd.launch.preflight import make_ready
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate

TINY = [
    *("runtime=inprocess", "model.classes=labels", "sampler.guidance=2", "rounds=2", "data.limit=200"),
    *("topology.clients=4", "topology.participation=0.75", "partition=dirichlet", "partition.min_samples=20"),
    *("model.unet.block_out_channels=[8,16]", "model.unet.norm_num_groups=2", "model.unet.attention_head_dim=4"),
    *("training.batch_size=25", "training.warmup_steps=5", "sampler.steps=2", "evaluation.every=2"),
    *("evaluation.images=10", "evaluation.final_images=10", "evaluation.classifier_epochs=1"),
]
CORRECTED = ["correction.local_epochs=1", "correction.images=12", "correction.chunk=4", "correction.steps=2"]
TABLE = "class_embedding.weight"


@pytest.mark.parametrize(
    ("overrides", "rows"),
    [
        (["method=fedphd", "pruning.sparse_rounds=1", "pruning.ratio=0.5", "codec=int4"], 11),
        (["method=fedddpm", *CORRECTED], 11),
        (["method=moon"], 11),
        (["method=feddiffuse_udec"], None),
        (["method=feddiffuse_usplit"], 11),
    ],
    ids=["pruned", "corrected", "contrastive", "decoders", "split"],
)
def test_it_trains_draws_and_is_measured_by_class(tmp_path: Path, overrides: list[str], rows: int | None) -> None:
    config, _ = make_ready(compose([*TINY, *overrides]), tmp_path)
    state = simulate(in_process_grid(config, tmp_path), config, tmp_path)
    last = list(read_lines(tmp_path / "metrics.jsonl"))[-1]
    assert last["round"] == 2
    assert 0 <= last["class_accuracy"] <= 1  # type: ignore[operator]
    if rows is not None:
        table = dict(state.best.arrays())[TABLE]
        assert table.shape == (rows, dict(state.best.arrays())["time_embedding.linear_2.bias"].size)
    assert (tmp_path / "samples" / "round_0002.png").exists()

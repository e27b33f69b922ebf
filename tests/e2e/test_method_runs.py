"""Every method, and combinations that no paper tried, in whole tiny runs, undisturbed and interrupted."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message

from fedphd.common.config import compose
from fedphd.common.flower.grids import BaseGrid
from fedphd.common.run.json_lines import JsonObject, read_lines
from fedphd.common.wire.messages import LOCAL
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.errands import ErrandError
from fedphd.server.simulation import simulate
from fedphd.server.state import GlobalState

CONF = Path(__file__).parents[2] / "conf"
METHODS = sorted(file.stem for file in (CONF / "method").glob("*.yaml"))
FEDPHD = str(Path(sys.executable).parent / "fedphd")

# Four clients of 50 digits each in the mean, of whom three train in each edge round.
TINY = [
    *("rounds=2", "data.limit=200", "training.batch_size=25", "training.warmup_steps=5"),
    *("sampler.steps=2", "evaluation=grid", "evaluation.every=9", "evaluation.grid_images=4"),
]
FOUR = ["topology.clients=4", "topology.participation=0.75", "partition=dirichlet", "partition.min_samples=20"]
QUICKLY = ["correction.local_epochs=1", "correction.images=12", "correction.chunk=4", "correction.steps=2"]
SLOW_AT_ONCE = ["correction.window=1", "correction.threshold=0.99"]  # learning counts as slow after two rounds
EARLY = "pruning.sparse_rounds=1"

OF_METHOD = {
    "fedphd": [EARLY],
    "fedddpm": QUICKLY,
    "fedddpm_plus": [*QUICKLY, *SLOW_AT_ONCE],
    "centralised": ["topology.clients=1"],
}


def overrides_of(method: str, *more: str) -> list[str]:
    four = [] if method == "centralised" else FOUR
    return [*TINY, *four, *OF_METHOD.get(method, []), f"method={method}", *more]


def run(run_dir: Path, *overrides: str) -> GlobalState:
    config = compose(["runtime=inprocess", *overrides])
    return simulate(in_process_grid(config, run_dir), config, run_dir)


def events(run_dir: Path, *names: str) -> list[JsonObject]:
    return [entry for entry in read_lines(run_dir / "ledger.jsonl") if entry["event"] in names]


def last_line(run_dir: Path) -> dict[str, Any]:
    return list(read_lines(run_dir / "metrics.jsonl"))[-1]


# --- every method -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[GlobalState, Path]]:
    """Train a method once, when the first test asks for it."""
    done: dict[str, tuple[GlobalState, Path]] = {}

    def train(method: str) -> tuple[GlobalState, Path]:
        if method not in done:
            run_dir = tmp_path_factory.mktemp(method)
            done[method] = run(run_dir, *overrides_of(method)), run_dir
        return done[method]

    return train


Trained = Callable[[str], tuple[GlobalState, Path]]


def test_all_methods_are_there() -> None:
    papers = {"fedphd", "fedphd_os", "fedddpm", "fedddpm_plus", "feddm_vanilla", "feddm_prox", "feddm_quant"}
    baselines = {"fedavg", "fedprox", "scaffold", "moon", "centralised"}
    modes = {f"feddiffuse_{mode}" for mode in ("full", "usplit", "ulatdec", "udec")}
    assert set(METHODS) == papers | baselines | modes | {"fedphd_plus"}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains(trained: Trained, method: str) -> None:
    state, run_dir = trained(method)
    assert events(run_dir, "refuse", "lost", "fail", "resend") == []
    assert [event["round"] for event in events(run_dir, "commit")] == [1, 2]
    assert len(events(run_dir, "finish")) == 1
    line = last_line(run_dir)
    assert line["round"] == 2 and 0 < line["loss"] < 2
    assert state.losses == [event["loss"] for event in events(run_dir, "commit")]
    for way in ("down", "up"):
        assert 0 < line[f"access_{way}_bytes"] <= 4 * line[f"access_{way}_parameters"]
        assert (line[f"backbone_{way}_bytes"] > 0) == (method != "centralised")
    assert (run_dir / "samples" / "round_0002.png").stat().st_size > 0


def test_methods_differ_in_what_they_do(trained: Trained) -> None:
    """Those that are one thing under two names, and only those, come to the same model."""
    models: dict[str, set[str]] = {}
    for method in METHODS:
        models.setdefault(trained(method)[0].model.hash, set()).add(method)
    assert sorted(map(sorted, (names for names in models.values() if len(names) > 1))) == [
        ["fedavg", "feddm_vanilla"],
        ["feddm_prox", "fedprox"],
    ]


def test_what_each_method_adds(trained: Trained) -> None:
    assert [event["round"] for event in events(trained("fedphd")[1], "prune")] == [1]
    assert [event["round"] for event in events(trained("fedphd_os")[1], "prune")] == [0]
    assert trained("scaffold")[0].control is not None
    assert [event["round"] for event in events(trained("fedddpm")[1], "correct")] == [1, 2]
    assert [event["round"] for event in events(trained("fedddpm_plus")[1], "correct")] == [2]
    assert trained("fedddpm_plus")[0].corrected_at == 2
    for method in METHODS:
        if "phd" not in method:
            assert events(trained(method)[1], "prune") == [], method
        if "fedddpm" not in method:
            assert events(trained(method)[1], "correct", "draw", "pretrain") == [], method
        assert (trained(method)[0].control is not None) == (method == "scaffold"), method


def test_what_each_method_sends(trained: Trained) -> None:
    """The same participants in each: 3 of 4 clients in 4 edge rounds, and 2 edges in 2 root rounds."""
    full = last_line(trained("fedavg")[1])
    size = full["parameters"]
    assert full["access_up_parameters"] == full["access_down_parameters"] == 12 * size
    assert full["backbone_up_parameters"] == full["backbone_down_parameters"] == 4 * size
    lines = {method: last_line(trained(method)[1]) for method in METHODS}
    quant = lines["feddm_quant"]
    assert quant["access_up_parameters"] == 12 * size
    assert 0.25 < quant["access_up_bytes"] / full["access_up_bytes"] < 0.3
    up = {mode: lines[f"feddiffuse_{mode}"]["access_up_parameters"] for mode in ("full", "usplit", "ulatdec", "udec")}
    assert up["full"] == 12 * size > up["ulatdec"] > up["udec"]
    assert up["usplit"] < up["full"]
    assert lines["scaffold"]["access_up_parameters"] > 12 * size  # and the changes of control variates
    assert lines["fedddpm"]["access_up_parameters"] == (12 + 4) * size  # and four local models
    assert lines["fedphd"]["access_up_parameters"] < 12 * size
    assert lines["fedphd_os"]["access_up_parameters"] < lines["fedphd"]["access_up_parameters"]


# --- combinations -----------------------------------------------------------------------------------


def test_pruning_parts_and_codes_together(trained: Trained, tmp_path: Path) -> None:
    state = run(tmp_path, *overrides_of("fedphd", "codec=int8", "exchange=udec"))
    assert events(tmp_path, "refuse", "lost", "fail") == []
    assert [event["round"] for event in events(tmp_path, "prune")] == [1]
    line, fedavg = last_line(tmp_path), last_line(trained("fedavg")[1])
    assert state.round == 2
    for lane in ("access_up", "backbone_up"):
        assert line[f"{lane}_bytes"] < 0.15 * fedavg[f"{lane}_bytes"]
    drawn = [event for event in events(tmp_path, "accept") if event.get("task") == "draw" and event["tier"] == "root"]
    assert [event["peer"] for event in drawn] == [f"client-{index}" for index in range(4)]


def test_control_variates_parts_and_codes_together(tmp_path: Path) -> None:
    state = run(tmp_path, *overrides_of("scaffold", "exchange=usplit", "codec=int8"))
    assert events(tmp_path, "refuse", "lost", "fail") == []
    assert state.control is not None and state.control.structure == state.model.structure
    assert state.control.vector.any()


# --- interrupted and resumed ------------------------------------------------------------------------

KEEPING = {
    "fedphd with parts and 4 bits": ["fedphd", "exchange=udec", "codec=int4", "rounds=3"],
    "scaffold": ["scaffold", "rounds=3"],
    "moon": ["moon", "rounds=3"],
    "fedddpm_plus": ["fedddpm_plus", "rounds=3"],
    "changes down": [
        "fedavg",
        "codec=int8",
        "codec.access.down.of=change",
        "codec.backbone.down.of=change",
        "rounds=3",
    ],
}


@pytest.mark.parametrize("overrides", KEEPING.values(), ids=KEEPING)
def test_a_run_that_lost_its_last_round_goes_on_to_the_same_model(tmp_path: Path, overrides: list[str]) -> None:
    """Clients and edges hold states that are newer than the checkpoint that the root goes on from."""
    settings = overrides_of(*overrides)
    undisturbed = run(tmp_path / "undisturbed", *settings)
    shutil.copytree(tmp_path / "undisturbed", tmp_path / "resumed")
    newest = tmp_path / "resumed" / "checkpoints" / "round_0003"
    (newest / "model.safetensors").write_bytes(b"torn")
    resumed = run(tmp_path / "resumed", *settings, f"checkpoint.resume={tmp_path / 'resumed'}")
    assert [event["round"] for event in events(tmp_path / "resumed", "resume")] == [2]
    assert resumed.model.hash == undisturbed.model.hash
    assert (resumed.losses, resumed.corrected_at) == (undisturbed.losses, undisturbed.corrected_at)
    assert (resumed.control and resumed.control.hash) == (undisturbed.control and undisturbed.control.hash)
    assert events(tmp_path / "resumed", "refuse", "lost", "fail") == []


class OneAbsent(BaseGrid):
    """Clients of which the second is not there to train a local model."""

    def get_node_ids(self) -> list[int]:
        return list(self.below.get_node_ids())

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        there = [one for one in messages if (one.metadata.message_type, one.metadata.dst_node_id) != (LOCAL, 2)]
        return list(self.below.push_messages(there))

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return list(self.below.pull_messages(message_ids))


def test_a_run_without_a_local_model_fails_and_goes_on_when_it_is_there(trained: Trained, tmp_path: Path) -> None:
    settings = overrides_of("fedddpm")
    config = compose(["runtime=inprocess", *settings])
    with pytest.raises(ErrandError, match="client-1 gave no local model; see the ledger, and resume the run"):
        simulate(OneAbsent(in_process_grid(config, tmp_path)), config, tmp_path)
    drawn = [event["peer"] for event in events(tmp_path, "draw")]
    assert set(drawn) == {"client-0"}
    state = run(tmp_path, *settings, f"checkpoint.resume={tmp_path}")
    assert [event["round"] for event in events(tmp_path, "resume")] == [0]
    assert {event["peer"] for event in events(tmp_path, "pretrain")[2:]} == {"client-1", "client-2", "client-3"}
    assert {event["peer"] for event in events(tmp_path, "draw")[len(drawn) :]} == {"client-1", "client-2", "client-3"}
    assert state.model.hash == trained("fedddpm")[0].model.hash


# --- in another runtime -----------------------------------------------------------------------------


@pytest.mark.ray
def test_ray_gives_the_same_model_as_one_process(tmp_path: Path) -> None:
    settings = overrides_of("fedphd", "exchange=udec", "codec=int4")
    expected = run(tmp_path / "alone", *settings).model.hash
    command = [FEDPHD, *settings, f"hydra.run.dir={tmp_path / 'ray'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert events(tmp_path / "ray", "finish")[-1]["model"] == expected

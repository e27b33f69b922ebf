"""The root ServerApp."""

import shutil
import time
from pathlib import Path

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from common.compute import pick_device
from common.config import Config, from_run_config, run_folder, to_yaml
from common.errors import FedPhDError
from common.ledger import Ledger
from common.model import build_unet
from common.packing import pack
from common.run_dir import CHECKPOINTS, SPOOL, refuse_used, sole_writer
from common.topology import edge_ids, homes
from server import checkpoint
from server.recorder import Recorder
from server.registry import register
from server.simulation import virtual_edges
from server.state import GlobalState
from server.strategy import HierarchicalStrategy
from server.structure import StructureSchedule

EDGE_SLACK = 60.0  # seconds for an edge to average and answer, beyond its own waits

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the whole training on Flower's grid of clients."""
    config = from_run_config(context.run_config)
    serve(grid, config, run_folder(context.run_config, context.run_id))


def serve(grid: Grid, config: Config, run_dir: Path) -> GlobalState:
    """Train from the first round, or from the resumed checkpoint, to the last.

    Parameters
    ----------
    grid : Grid
        The clients.
    config : Config
        The run's configuration.
    run_dir : Path
        The run folder; made if needed.

    Returns
    -------
    GlobalState
        The state after the last round.

    Raises
    ------
    FedPhDError
        If the run cannot start or go on; the ledger's last line has the reason.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with sole_writer(run_dir):
        if config.checkpoint.resume is None:
            refuse_used(run_dir)
        return _told(grid, config, run_dir, Ledger(run_dir / "ledger.jsonl"))


def _told(grid: Grid, config: Config, run_dir: Path, ledger: Ledger) -> GlobalState:
    """Train, and tell the ledger how it ended."""
    started = time.perf_counter()
    try:
        state = _train(grid, config, run_dir, ledger)
    except Exception as error:
        ledger.event("fail", tier="root", node="root", reason=_reason(error))
        raise
    finally:
        shutil.rmtree(run_dir / SPOOL, ignore_errors=True)
    seconds = round(time.perf_counter() - started, 3)
    ledger.event("finish", tier="root", node="root", seconds=seconds, model=state.model.hash)
    return state


def _reason(error: Exception) -> str:
    """Say what went wrong; errors that are meant for the user speak for themselves."""
    return str(error) if isinstance(error, FedPhDError) else f"{type(error).__name__}: {error}"


def _train(grid: Grid, config: Config, run_dir: Path, ledger: Ledger) -> GlobalState:
    (run_dir / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    pick_device(config.runtime.device)  # also sets the number of threads, on which sums depend
    structure = StructureSchedule(config, ledger)
    state = _initial_state(config, structure, ledger)
    edges = virtual_edges(grid, config, ledger, run_dir / SPOOL)
    registry = register(
        edges, edge_ids(config.topology), homes(config.topology), config.topology.round_timeout + EDGE_SLACK
    )
    registry.save(run_dir / "partition.json")
    strategy = HierarchicalStrategy(config, registry, state, structure, ledger, run_dir / SPOOL / "root")
    strategy.start(
        grid=edges,
        initial_arrays=ArrayRecord(),
        num_rounds=config.rounds - state.round,
        timeout=_root_timeout(config),
        evaluate_fn=Recorder(config, state, structure, ledger, run_dir),
    )
    return state


def _initial_state(config: Config, structure: StructureSchedule, ledger: Ledger) -> GlobalState:
    if config.checkpoint.resume is not None:
        state = checkpoint.load(config.checkpoint.resume / CHECKPOINTS)
        ledger.event("resume", tier="root", node="root", round=state.round)
        return state
    state = GlobalState(round=0, model=pack(build_unet(config.model, config.seed).state_dict()))
    structure.apply(state)
    return state


def _root_timeout(config: Config) -> float:
    """Seconds that edges may take for a root round: each edge round may use its whole timeout."""
    return config.topology.edge_rounds * config.topology.round_timeout + EDGE_SLACK

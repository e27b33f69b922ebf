"""The root's whole work: from the first round, or from a checkpoint, to the last."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from flwr.app import ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid

from fedphd.common.config import Config, FineTuning, to_yaml
from fedphd.common.config.topology import edge_timeout
from fedphd.common.errors import FedPhDError
from fedphd.common.flower.delivery import deliver
from fedphd.common.flower.grids import PatientGrid
from fedphd.common.run.events import Fail, Finish, Resume
from fedphd.common.run.ledger import Ledger
from fedphd.common.run.run_folder import AUXILIARY, CHECKPOINTS, CONFIG, LEDGER, PARTITION, SPOOL
from fedphd.common.run.sole_writer import refuse_used, sole_writer
from fedphd.common.training.compute import pick_device
from fedphd.common.wire.messages import END
from fedphd.server import checkpoint
from fedphd.server.correction import AuxiliarySet, Correction, prepare
from fedphd.server.errands import Errands
from fedphd.server.first_model import first_model, pruned_first_model
from fedphd.server.pruning_schedule import PruningSchedule
from fedphd.server.recorder import Recorder
from fedphd.server.registry import Registry, check_compared, register
from fedphd.server.state import GlobalState
from fedphd.server.strategy import HierarchicalStrategy

log = logging.getLogger(__name__)

END_TIMEOUT = 10.0  # seconds for the edges to hear that the run is over

MakeEdges = Callable[[Ledger], Grid]


def serve(make_edges: MakeEdges, config: Config, run_dir: Path) -> GlobalState:
    """Train from the first round, or from the resumed checkpoint, to the last.

    Parameters
    ----------
    make_edges : Callable[[Ledger], Grid]
        Gives the grid whose nodes are the edges; edges in this process write to the run's ledger.
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
        ledger = Ledger(run_dir / LEDGER)
        return _told(make_edges(ledger), config, run_dir, ledger)


def _told(edges: Grid, config: Config, run_dir: Path, ledger: Ledger) -> GlobalState:
    """Train, and tell the ledger how it ended."""
    started = time.perf_counter()
    try:
        state = _train(edges, config, run_dir, ledger)
    except Exception as error:
        ledger.write(Fail(reason=_reason(error)))
        raise
    finally:
        shutil.rmtree(run_dir / SPOOL, ignore_errors=True)
    seconds = round(time.perf_counter() - started, 3)
    ledger.write(Finish(seconds=seconds, model=state.model.hash))
    return state


def _reason(error: Exception) -> str:
    """Say what went wrong; errors that are meant for the user speak for themselves."""
    return str(error) if isinstance(error, FedPhDError) else f"{type(error).__name__}: {error}"


def _train(edges: Grid, config: Config, run_dir: Path, ledger: Ledger) -> GlobalState:
    (run_dir / CONFIG).write_text(to_yaml(config), encoding="utf-8")
    pick_device(config)  # also sets the number of threads, on which sums depend
    pruning = PruningSchedule(config, ledger)
    state = _resumed(config, ledger) or _first_state(config, pruning)
    try:
        registry = register(edges, config.topology, ledger, config.data.fixed_classes, alike=config.partition.splits)
        check_compared(registry, config.weighting)
        registry.save(run_dir / PARTITION)
        auxiliary = _auxiliary(config, registry, run_dir, ledger)
        correction = None if auxiliary is None else Correction(config, auxiliary.training_set, ledger)
        spool = run_dir / SPOOL / "root"
        strategy = HierarchicalStrategy(config, registry, state, pruning, correction, ledger, spool)
        errands = Errands(edges, strategy.site)
        recorder = Recorder(config, state, pruning, ledger, run_dir, errands.drawings, errands.assessments)
        recorder.record()
        if auxiliary is not None and auxiliary.missing():
            prepare(auxiliary, errands.local_models(auxiliary.missing(), pruned_first_model(config)))
            checkpoint.save(state, run_dir / CHECKPOINTS, config.checkpoint.keep)  # with what that cost
        strategy.start(
            grid=PatientGrid(edges, strategy.site.boundary.patience),
            initial_arrays=ArrayRecord(),
            num_rounds=config.rounds - state.round,
            timeout=edge_timeout(config.topology),
            evaluate_fn=recorder,
        )
    finally:
        _end(edges)
    return state


def _end(edges: Grid) -> None:
    """Tell all edges that the run is over; one that does not hear it is told by the next run."""
    try:
        messages = [Message(RecordDict(), node, END, ttl=END_TIMEOUT) for node in edges.get_node_ids()]
        for reply in deliver(edges, messages, END_TIMEOUT):
            if reply.has_error():
                log.warning("node %d did not hear of the run's end: %s", reply.metadata.src_node_id, reply.error.reason)
    except Exception:  # how the run ended matters more
        log.exception("the edges could not be told that the run is over")


def _resumed(config: Config, ledger: Ledger) -> GlobalState | None:
    if config.checkpoint.resume is None:
        return None
    state = checkpoint.load(config.checkpoint.resume / CHECKPOINTS)
    ledger.write(Resume(round=state.round))
    return state


def _first_state(config: Config, pruning: PruningSchedule) -> GlobalState:
    state = GlobalState(round=0, model=first_model(config))
    pruning.apply(state)
    return state


def _auxiliary(config: Config, registry: Registry, run_dir: Path, ledger: Ledger) -> AuxiliarySet | None:
    if not isinstance(config.correction, FineTuning):
        return None
    samples = {client: profile.samples for client, profile in registry.profiles.items()}
    counts = {client: profile.counts for client, profile in registry.profiles.items()}
    return AuxiliarySet(run_dir / AUXILIARY, config, samples, counts, ledger)

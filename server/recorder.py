"""What the root writes down after each round: metrics, sample grids, checkpoints."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from flwr.app import ArrayRecord, MetricRecord

from fedphd.common.config import Config, TrackerConfig
from fedphd.common.data.images import Pixels
from fedphd.common.network.counting import count
from fedphd.common.run.events import Checkpoint, Evaluate, Reuse
from fedphd.common.run.json_lines import JsonLines, read_lines
from fedphd.common.run.ledger import Ledger
from fedphd.common.run.metrics import Metrics
from fedphd.common.run.run_folder import CHECKPOINTS, CLIENTS, EVALUATION, IMAGES, METRICS, NEAREST
from fedphd.common.wire.messages import Drawing
from fedphd.server import checkpoint
from fedphd.server.evaluation import Evaluator
from fedphd.server.evaluation.clients import evaluate_clients
from fedphd.server.evaluation.nearest_images import are_roots_own, show_nearest
from fedphd.server.evaluation.own_images import Assessments, OwnImages
from fedphd.server.pruning_schedule import PruningSchedule, load_unet
from fedphd.server.state import GlobalState
from fedphd.server.tracking import Trackers, read_trackers


class Recorder:
    """Flower's `evaluate_fn`: called before the first round and after each.

    Parameters
    ----------
    config : Config
        The run's configuration.
    state : GlobalState
        What the strategy commits to.
    pruning : PruningSchedule
        Names the phase of each round.
    ledger : Ledger
        Where evaluations and checkpoints are noted.
    run_dir : Path
        Takes `metrics.jsonl`, `samples/` and `checkpoints/`.
    drawings : Callable[[int], Iterator[Drawing]]
        Has every client draw so many images, for methods whose clients keep parts of their own.
    assessments : Callable[[int, Pixels or None], Iterator[Assessment]]
        As `OwnImages` takes it.
    """

    def __init__(
        self,
        config: Config,
        state: GlobalState,
        pruning: PruningSchedule,
        ledger: Ledger,
        run_dir: Path,
        drawings: Callable[[int], Iterator[Drawing]],
        assessments: Assessments,
    ) -> None:
        self.config = config
        self.state = state
        self.pruning = pruning
        self.ledger = ledger
        self.run_dir = run_dir
        self.drawings = drawings
        self.metrics = JsonLines(run_dir / METRICS)
        self.trackers = Trackers(config.tracking, run_dir)
        self.evaluator = Evaluator(config, run_dir)
        self.own_images = OwnImages(config, ledger, assessments)
        self._recorded = state.round if self._is_written(state.round) else None
        self._reused: set[str] = set()
        self._counts: dict[str, tuple[int, int]] = {}
        self._mark = time.perf_counter()

    def __call__(self, server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Write down the round that was just committed."""
        line = self.record()
        return MetricRecord({key: value for key, value in line.items() if isinstance(value, (int, float))})

    def record(self) -> dict[str, object]:
        """Write down where the run is, unless that is done; return the line of metrics."""
        if self.state.round == self._recorded:
            return {}
        self._recorded = self.state.round
        try:
            line = self._write(self._lap())
        except BaseException:
            self._save()  # the training must not be lost with a measurement; a resumed run measures it
            raise
        self._checkpoint()
        return line

    def _is_written(self, round: int) -> bool:
        """Whether an earlier start of the run wrote a round down; it may have ended while it measured."""
        return any(line.get("round") == round for line in read_lines(self.metrics.path))

    def _write(self, seconds: float) -> dict[str, object]:
        line = Metrics(**self._line(seconds) | self._evaluate()).line
        self._lap()
        self.metrics.write(**line)
        self.trackers.log(line)
        return line

    def _lap(self) -> float:
        """Add the time since the last call to the run's elapsed time, and return it."""
        now = time.perf_counter()
        seconds, self._mark = now - self._mark, now
        self.state.elapsed += seconds
        return seconds

    def _evaluate(self) -> dict[str, float]:
        last = self.state.round == self.config.rounds
        if self.state.round % self.config.evaluation.every and not last:
            return {}
        if self.state.round and self.config.exchange.keeps_parts:
            drawings = self.drawings(self.evaluator.images(self.state.round))
            quality = evaluate_clients(self.evaluator, self.state.round, drawings)
        else:
            quality = self.evaluator.evaluate(self.state.round, load_unet(self.config, self.state.best))
        quality |= self.evaluator.references(self.state.round)
        if self.state.round and self.config.evaluation.asks_clients(last):
            quality |= self._ask_clients(last, quality["evaluation_seconds"])
        self._tell_reused()
        self.ledger.write(Evaluate(round=self.state.round, **quality))
        return quality

    def _ask_clients(self, last: bool, before: float) -> dict[str, float]:
        """Let clients measure the model on their own images, and say how long all evaluation took."""
        started, images = time.perf_counter(), self.config.evaluation.memorisation if last else 0
        generated = self._to_compare(images) if images and not self.config.exchange.keeps_parts else None
        found = self.own_images.measure(self.state.round, images, generated)
        return found | {"evaluation_seconds": before + time.perf_counter() - started}

    def _to_compare(self, images: int) -> Pixels:
        """Draw images for the clients to compare, and show them beside the training images if these are the root's."""
        generated = self.evaluator.draw(load_unet(self.config, self.state.best), images)
        if are_roots_own(self.config):
            config, kept = self.config, self.run_dir / CLIENTS / IMAGES
            if kept.is_dir():  # clients of this process or machine have decoded theirs
                config = config.model_copy(update={"data": config.data.keeping_at(kept)})
            show_nearest(config, generated, self.run_dir / EVALUATION / NEAREST, self.evaluator.device)
        return generated

    def _tell_reused(self) -> None:
        """Write down, once, which real images' statistics an earlier run or `fedphd stats` had made."""
        for split, kept in self.evaluator.reused().items():
            if split not in self._reused:
                self._reused.add(split)
                self.ledger.write(Reuse(split=split, images=kept.statistics.images, file=str(kept.file)))

    def _line(self, seconds: float) -> dict[str, object]:
        structure = self.state.model.structure.id
        if structure not in self._counts:
            self._counts[structure] = count(load_unet(self.config, self.state.model))
        parameters, macs = self._counts[structure]
        traffic = {
            f"{lane}_{what}": count
            for lane, counts in self.state.traffic.items()
            for what, count in asdict(counts).items()
        }
        return {
            "round": self.state.round,
            "edge_rounds": self.state.round * self.config.topology.edge_rounds,
            "phase": self.pruning.phase(max(self.state.round, 1)),
            **asdict(self.state.latest),
            "parameters": parameters,
            "macs": macs,
            "structure": structure,
            **traffic,
            "seconds": round(seconds, 3),
            "elapsed": round(self.state.elapsed, 3),
        }

    def _checkpoint(self) -> None:
        last = self.state.round == self.config.rounds
        if self.state.round % self.config.checkpoint.every and not last:
            return
        self._save()

    def _save(self) -> None:
        checkpoint.save(self.state, self.run_dir / CHECKPOINTS, self.config.checkpoint.keep)
        self.ledger.write(Checkpoint(round=self.state.round))


def check_outlets(config: Config, run_dir: Path) -> Config:
    """Read the options of what a recorder writes through, without a run: what is missing is found before the start.

    Returns
    -------
    Config
        The same configuration with these options as they were read: paths are absolute, since the root's process need
        not share the working folder.

    Raises
    ------
    SettingError
        If an extractor or a tracker cannot be imported or used, or something that it needs is missing.
    """
    extractor, trackers = Evaluator(config, run_dir).extractor, read_trackers(config.tracking)
    for tracker in trackers.values():
        tracker.check_installed()
    options = {} if extractor is None else extractor.model_dump(mode="json", exclude={"kind"}, exclude_unset=True)
    carried = {
        name: TrackerConfig.model_validate(one.model_dump(mode="json", exclude_unset=True))
        for name, one in trackers.items()
    }
    evaluation = config.evaluation.model_copy(update=options)
    return config.model_copy(update={"evaluation": evaluation, "tracking": carried})

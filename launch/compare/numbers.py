"""What is compared: a number for each run, and its mean and spread over seeds."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fedphd.common.run.figures import HOPS
from fedphd.common.run.metrics import Metrics
from fedphd.launch.compare.runs import Run

Units = tuple[tuple[float, str], ...]  # (size, name), from small to large

BYTES: Units = ((1e6, "MB"), (1e9, "GB"))
COUNT: Units = ((1e6, "M"), (1e9, "G"))
TIME: Units = ((1.0, "s"), (3600.0, "h"))


@dataclass(frozen=True)
class Spread:
    """The values of one quantity, one for each seed.

    Attributes
    ----------
    values : tuple[float, ...]
        In the order of the seeds; at least one.
    """

    values: tuple[float, ...]

    @cached_property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.values)

    @cached_property
    def std(self) -> float | None:
        """Their sample standard deviation (n - 1); None of a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Quantity:
    """A number that every run has.

    Attributes
    ----------
    key : str
        Its name in JSON.
    title : str
        The head of its column.
    of : Callable[[Run], float or None]
        Finds it; None if the run's metrics do not have it.
    note : str
        What it is, in a sentence.
    units : Units
        Those that it may be shown in; empty: it has none.
    """

    key: str
    title: str
    of: Callable[[Run], float | None]
    note: str
    units: Units = ()


def _beside_quality(key: str) -> Callable[[Run], float | None]:
    """Find what an evaluation tells beside its main measure; a star in `key` is the measure's name."""

    def find(run: Run) -> float | None:
        if run.measured is None:
            return None
        return run.folder.evaluations[-1].measures.get(key.replace("*", run.measured[0]))

    return find


def _named(*beginnings: str) -> Callable[[Run], float | None]:
    """Find a measure by how its name begins, since it ends with what its features are of."""

    def find(run: Run) -> float | None:
        measures = run.folder.evaluations[-1].further if run.folder.evaluations else {}
        return next((value for name, value in measures.items() if name.startswith(beginnings)), None)

    return find


def _final(of: Callable[[Metrics], float | None]) -> Callable[[Run], float | None]:
    return lambda run: _float(of(run.final))


def _sent(what: str, *hops: str) -> Callable[[Run], float | None]:
    return lambda run: _float(run.final.total(what, hops or HOPS))


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _seconds(run: Run) -> float | None:
    return sum(line.seconds for line in run.folder.metrics)


over_clients = _beside_quality("*_std")
QUALITY = Quantity(
    "quality",
    "quality",
    _beside_quality("*"),
    "Fréchet distance between features of generated and of real images after the last round; "
    "lower is better. It does not compare with that of other features: an FID is over those of Inception-v3.",
)
QUANTITIES = (
    QUALITY,
    Quantity(
        "quality_std_over_clients",
        "std over clients",
        over_clients,
        "Standard deviation over the clients of a run that has no global model, and whose quality is their mean.",
    ),
    Quantity("inception_score", "IS ↑", _beside_quality("is_mean"), "Inception score; higher is better."),
    Quantity(
        "kernel_distance",
        "kernel distance ↓",
        _named("kid", "kd_"),
        "Kernel distance over the same features as the Fréchet distance, which is KID over those of Inception-v3; "
        "lower is better, and it has no bias.",
    ),
    Quantity(
        "precision",
        "precision ↑",
        _named("precision_"),
        "Share of the generated images that lie within the manifold of the real ones.",
    ),
    Quantity(
        "recall",
        "recall ↑",
        _named("recall_"),
        "Share of the real images that lie within the manifold of the generated ones.",
    ),
    Quantity(
        "client_loss",
        "client loss",
        _final(lambda line: line.loss),
        "Mean over the last round's client updates, weighted by images, of what each minimises: "
        "rows with other objectives do not compare.",
    ),
    Quantity(
        "access_bytes",
        "access",
        _sent("bytes", "access"),
        "Payload between clients and edges (or the root, where there are no edges), both ways.",
        BYTES,
    ),
    Quantity(
        "backbone_bytes", "backbone", _sent("bytes", "backbone"), "Payload between edges and root, both ways.", BYTES
    ),
    Quantity("bytes", "all hops", _sent("bytes"), "Payload of all hops: the models' numbers as encoded.", BYTES),
    Quantity(
        "communicated_parameters",
        "N",
        _sent("parameters"),
        "Parameters that travelled, over all hops and both ways.",
        COUNT,
    ),
    Quantity("parameters", "parameters", _final(lambda line: line.parameters), "Of the U-Net at the end.", COUNT),
    Quantity(
        "macs",
        "MACs",
        _final(lambda line: line.macs),
        "Multiply-accumulates of the U-Net at the end, per image.",
        COUNT,
    ),
    Quantity(
        "seconds",
        "time",
        _seconds,
        "Wall time up to the last round, without evaluations, on the machine that it ran on.",
        TIME,
    ),
)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Gather the values of a quantity; None if one is missing, since a mean over other seeds is another thing."""
    found = tuple(values)
    known = tuple(value for value in found if value is not None)
    return Spread(known) if known and len(known) == len(found) else None


def pick_unit(values: Sequence[float], units: Units) -> tuple[float, str]:
    """Pick the largest unit in which no value but zero is below one; the smallest, if there is none such."""
    positive = [value for value in values if value > 0]
    fitting = [unit for unit in units if positive and min(positive) >= unit[0]]
    return fitting[-1] if fitting else units[0]

"""What is compared: the quantities of a run, each a column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedphd.common.run import figures
from fedphd.launch.compare.numbers import BYTES, COUNT, IMAGES, OPERATIONS, TIME, Units
from fedphd.launch.compare.runs import Run
from fedphd.launch.compare.standing import Standing

NOT_APPLICABLE = "n/a"
UNKNOWN = "unknown"


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
        Finds it; None if the run does not have it.
    note : str
        What it is, in a sentence.
    units : Units
        Those that it may be shown in; empty: it has none.
    missing : str
        What stands in the cell of a run that does not have it: `UNKNOWN` if every run has it, but its metrics are of a
        version that did not write it.
    """

    key: str
    title: str
    of: Callable[[Run], float | None]
    note: str
    units: Units = ()
    missing: str = NOT_APPLICABLE


def _final(of: Callable[[Standing], float | None]) -> Callable[[Run], float | None]:
    return lambda run: _float(of(run.final))


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def over_clients(run: Run) -> float | None:
    """Give the standard deviation over clients, of a run whose clients' own models are measured."""
    return run.scored("*_std")


QUALITY = Quantity(
    "quality",
    "quality",
    lambda run: run.scored("*"),
    "Fréchet distance between features of generated and of real images after the last round; "
    "lower is better. It does not compare with that of other features: an FID is over those of Inception-v3.",
)
ACCESS = Quantity(
    "access_bytes",
    "access",
    _final(lambda one: one.access_bytes),
    "Payload between clients and edges (or the root, where there are no edges), both ways.",
    BYTES,
)
BACKBONE = Quantity(
    "backbone_bytes",
    "backbone",
    _final(lambda one: one.backbone_bytes),
    "Payload between edges and root, both ways.",
    BYTES,
)
ALL_HOPS = Quantity(
    "bytes", "all hops", _final(lambda one: one.bytes), "Payload of all hops: the models' numbers as encoded.", BYTES
)
ROOT = Quantity(
    "root_bytes",
    "at the root",
    lambda run: float(run.final.bytes if run.flat else run.final.backbone_bytes),
    "Payload to and from the root: that of the backbone, or of everything where there are no edges.",
    BYTES,
)
CLIENT_EPOCHS = Quantity(
    "client_epochs",
    "client epochs",
    _final(lambda one: one.client_epochs),
    "Passes of clients over all their own images: E for each client in each edge round that it trained in.",
    missing=UNKNOWN,
)
IMAGE_PASSES = Quantity(
    "image_passes",
    "image passes",
    _final(lambda one: one.image_passes),
    "Images that clients trained on, once for each pass.",
    IMAGES,
    missing=UNKNOWN,
)
FORWARD_MACS = Quantity(
    "forward_macs",
    "forward MACs x image passes",
    _final(lambda one: one.forward_macs),
    "The clients' computation: multiply-accumulates of one forward pass of the network of the time, dense or pruned, "
    "for each image pass. A training pass is about three such forward passes. Without local models and corrections "
    "of FedDDPM, and without drawing.",
    OPERATIONS,
    UNKNOWN,
)
QUANTITIES = (
    QUALITY,
    Quantity(
        "quality_std_over_clients",
        "std over clients",
        over_clients,
        "Standard deviation over the clients of a run that has no global model, and whose quality is their mean.",
    ),
    Quantity("inception_score", "IS ↑", lambda run: run.scored("is_mean"), "Inception score; higher is better."),
    Quantity(
        "client_loss",
        "client loss",
        _final(lambda one: one.loss),
        "Mean over the last round's client updates, weighted by images, of what each minimises: "
        "rows with other objectives do not compare.",
    ),
    ACCESS,
    BACKBONE,
    ALL_HOPS,
    Quantity(
        "communicated_parameters",
        "N",
        _final(lambda one: one.communicated_parameters),
        "Parameters that travelled, over all hops and both ways.",
        COUNT,
        UNKNOWN,
    ),
    Quantity("parameters", "parameters", _final(lambda one: one.parameters), "Of the U-Net at the end.", COUNT),
    Quantity(
        "macs",
        "MACs",
        _final(lambda one: one.macs),
        "Multiply-accumulates of the U-Net at the end, of one forward pass of an image.",
        COUNT,
        UNKNOWN,
    ),
    CLIENT_EPOCHS,
    IMAGE_PASSES,
    FORWARD_MACS,
    Quantity(
        "seconds",
        "time",
        _final(lambda one: one.seconds),
        "Wall time up to the last round, without evaluations, on the machine that it ran on.",
        TIME,
    ),
)
SHARES = (ROOT, ALL_HOPS, FORWARD_MACS, CLIENT_EPOCHS)  # which are told as shares of a reference run's


def further(runs: Sequence[Run]) -> list[Quantity]:
    """Make a quantity of each measure that only some evaluations have: ``kid``, or a user's own."""
    names = dict.fromkeys(name for run in runs for one in run.curve[-1:] for name in figures.further(one.measures))
    return [
        Quantity(name, name, _scored(name), "Of the last evaluation, by its own name.")
        for name in names
        if name != "is_mean"  # has a column with a title of its own
    ]


def _scored(name: str) -> Callable[[Run], float | None]:
    return lambda run: run.scored(name)

"""What `fedphd status --json` prints: one JSON object, a `Status`, its keys the attributes of these classes.

Times are seconds since the epoch, numbers of bytes count messages as encoded, *down* is towards the
clients and *up* towards the root; null stands for what is not known. New keys may come; what is here
keeps its name and meaning as long as `format` is 1.
"""

from dataclasses import dataclass

from fedphd.common.run.history import State
from fedphd.launch.watch.status.standing import Bytes, Heard
from fedphd.launch.watch.status.superlinks import FlowerRun

FORMAT = 1
UNKNOWN = "unknown"  # status of a node of which no SuperLink tells


@dataclass(frozen=True)
class Quality:
    """The newest quality measure: its name, ``fid`` or ``fd_...``, and its value."""

    name: str
    value: float


@dataclass(frozen=True)
class RunStatus:
    """The run, by its folder.

    Attributes
    ----------
    folder : str
        The run folder.
    method : str or None
        The method's name.
    state : {"starting", "training", "finished", "failed"}
        What the run itself told last; of a run that was killed, Flower's status tells more.
    lost : bool
        Whether Flower ended the run before it could tell its end: its ServerApp was killed.
    doing : str
        The state in words, for people.
    round : int
        Root round that is worked on, or was last.
    committed : int
        Root rounds that are committed.
    rounds : int
        Root rounds in all; 0 before it is known.
    metrics_round : int or None
        Root round that phase, loss and quality are of.
    phase : str or None
        ``dense``, ``sparse`` or ``pruned``.
    loss : float or None
        Mean loss of the clients.
    quality : Quality or None
        Quality measure, if this round was evaluated.
    heard : Heard or None
        The root's newest event.
    """

    folder: str
    method: str | None
    state: State
    lost: bool
    doing: str
    round: int
    committed: int
    rounds: int
    metrics_round: int | None
    phase: str | None
    loss: float | None
    quality: Quality | None
    heard: Heard | None


@dataclass(frozen=True)
class NodeStatus:
    """A node of a tier's SuperLink; a client with several homes is a node of each.

    Attributes
    ----------
    name : str or None
        ``edge-0``, ``client-0`` ...; None if the node's name is not known.
    id : str or None
        Flower's node id.
    status : str
        Flower's: ``online``, ``offline`` (silent for a minute, or gone in order), ``registered`` (never there);
        ``unknown`` if no SuperLink tells.
    since : float or None
        When it came online, or went offline.
    heard : Heard or None
        Newest event of the ledger that this node gave rise to.
    down, up : int or None
        Bytes to it and from it, by the ledger; None without a run folder.
    """

    name: str | None
    id: str | None
    status: str
    since: float | None
    heard: Heard | None
    down: int | None
    up: int | None


@dataclass(frozen=True)
class FlowerRunStatus(FlowerRun):
    """A run by Flower's account.

    Attributes
    ----------
    counted : bool
        Whether it belongs to the run folder, by its time, so that its bytes are counted; without a run folder
        the newest does. A run that was submitted again after a loss has several.
    """

    counted: bool


@dataclass(frozen=True)
class TierStatus:
    """A tier with a SuperLink: the root or an edge.

    Attributes
    ----------
    tier : str
        ``root``, ``edge-0`` ...
    superlink : str or None
        The address that was asked; None if none was.
    error : str or None
        Why the SuperLink could not be asked.
    runs : list[FlowerRunStatus]
        Flower's runs, the newest first.
    nodes : list[NodeStatus]
        Its nodes: edges at the root, clients at an edge or at the root of a flat topology.
    ledger : Bytes or None
        Bytes through this SuperLink by the ledger; None without a run folder.
    as_of : float or None
        The time that `ledger`, and `heard` of clients, are of: an edge's newest event in the ledger, since an
        edge's events come when its root round ends.
    flower : Bytes or None
        Bytes through this SuperLink by Flower: the runs that are counted. It is up to the moment.
    """

    tier: str
    superlink: str | None
    error: str | None
    runs: list[FlowerRunStatus]
    nodes: list[NodeStatus]
    ledger: Bytes | None
    as_of: float | None
    flower: Bytes | None


@dataclass(frozen=True)
class Status:
    """Where a deployment stands.

    Attributes
    ----------
    format : int
        Version of this structure.
    time : float
        When this was put together.
    run : RunStatus or None
        The run; None without a run folder.
    hops : dict[str, Bytes]
        Bytes by the ledger, of ``backbone`` (edges and root) and ``access`` (clients and edges); empty without a
        run folder.
    tiers : list[TierStatus]
        The root first.
    """

    format: int
    time: float
    run: RunStatus | None
    hops: dict[str, Bytes]
    tiers: list[TierStatus]

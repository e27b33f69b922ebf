"""Where a run stands by its folder: its history, and what it was heard of and sent at each tier."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fedphd.common.config import Config, from_yaml
from fedphd.common.errors import SettingError
from fedphd.common.run.crossings import Crossing
from fedphd.common.run.events import Accept, Fail, Finish, Lost, Plan, Pretrain, Refuse, Register, Resume, Start
from fedphd.common.run.figures import WAYS, duration, one_line
from fedphd.common.run.history import History
from fedphd.common.run.ledger import EDGE, Entry
from fedphd.common.run.metrics import Metrics
from fedphd.common.run.run_folder import CONFIG, RunFolder
from fedphd.launch.deploy.keys import ROOT

REGISTERING = "edges and clients register"


@dataclass(frozen=True)
class Heard:
    """A sign of life.

    Attributes
    ----------
    time : float
        Seconds since the epoch, by the clock of the tier that wrote the event.
    event : str
        The ledger's event.
    round : int or None
        Its root round, if it is of one.
    """

    time: float
    event: str
    round: int | None


@dataclass(frozen=True)
class Bytes:
    """Bytes as encoded, by the ledger or by Flower: down to the nodes, up from them."""

    down: int = 0
    up: int = 0


@dataclass
class Standing:
    """A run as far as its folder tells.

    Attributes
    ----------
    path : Path
        The run folder.
    config : Config or None
        The run's configuration; None before it is written, or if this version cannot read it.
    history : History
        What the run's ledger and metrics tell.
    heard : dict[tuple[str, str], Heard]
        Newest sign of life of each node, by its tier and its name; the root's own has the tier "".
    as_of : dict[str, float]
        For each tier, the time of the newest of its own events.
    """

    path: Path
    config: Config | None = None
    history: History = field(default_factory=History)
    heard: dict[tuple[str, str], Heard] = field(default_factory=dict)
    as_of: dict[str, float] = field(default_factory=dict)
    _awaited: list[str] = field(default_factory=list)  # edges that have not answered in this root round
    _starting: str = REGISTERING  # what is done before training

    @classmethod
    def read(cls, path: Path) -> "Standing":
        """Read a run folder, also of a run that is going on."""
        standing = cls(path, read_config(path))
        for told in RunFolder(path).reader().read():
            standing.take(told)
        return standing

    @property
    def rounds(self) -> int:
        """Root rounds in all; 0 if not known."""
        return self.history.rounds or (self.config.rounds if self.config else 0)

    @property
    def flat(self) -> bool:
        """Whether clients are nodes of the root."""
        return self.config is not None and self.config.topology.edges == 0

    @property
    def doing(self) -> str:
        """Say what is being done."""
        match self.history.state, self.history.ending:
            case "finished", Finish(seconds=seconds):
                return f"finished in {duration(seconds)}"
            case "failed", Fail(reason=reason):
                return f"failed: {one_line(reason)}"
            case "starting", _:
                return self._starting
        return self._training()

    def _training(self) -> str:
        round_, committed = self.history.round, self.history.committed
        if round_ > committed:
            if not self._awaited:
                return f"root round {round_} is averaged"
            awaited = "the clients" if self.flat else ", ".join(self._awaited)
            return f"root round {round_} is trained, waiting for {awaited}"
        if committed not in self.history.metrics:
            return f"root round {committed} is evaluated" if committed else "the new model is evaluated"
        return f"root round {committed + 1} is planned" if committed < self.rounds else "the run ends"

    def total(self, hop: str | None = None, tier: str | None = None, node: str | None = None) -> Bytes:
        """Add up the bytes of a hop, a tier's SuperLink or a node; None stands for all."""
        wanted = (hop, tier, node)

        def bytes_of(way: str) -> int:
            def fits(crossing: Crossing) -> bool:
                own = (crossing.hop, self._tier(crossing.node), crossing.peer)
                return crossing.way == way and all(want in (None, one) for want, one in zip(wanted, own, strict=True))

            return self.history.crossings.total(fits).encoded_bytes

        return Bytes(*map(bytes_of, WAYS))

    def take(self, told: Entry | Metrics) -> None:
        """Take in an event, or a line of metrics."""
        self.history.take(told)
        if isinstance(told, Entry):
            self._take_entry(told)

    def _take_entry(self, entry: Entry) -> None:
        tier, event = self._tier(entry.node), entry.event
        if entry.tier == EDGE:
            self._hear(ROOT, entry.node, entry)
            for client in event.clients if isinstance(event, Register) else ():
                self._hear(tier, client, entry)
        else:
            self._hear("", ROOT, entry)
            self._follow(entry)
        self.as_of[tier] = max(self.as_of.get(tier, event.time), event.time)
        if isinstance(event, Accept | Refuse):
            self._hear(tier, event.peer, entry)

    def _tier(self, node: str) -> str:
        """Name the tier whose SuperLink a node's messages pass."""
        return ROOT if self.flat else node

    def _hear(self, tier: str, node: str, entry: Entry) -> None:
        known, at = self.heard.get((tier, node)), entry.event.time
        if known is None or known.time <= at:
            self.heard[tier, node] = Heard(at, entry.event.name, getattr(entry.event, "round", None))

    def _follow(self, entry: Entry) -> None:
        """Follow what the root does."""
        match entry.event:
            case Start():
                self._starting = REGISTERING  # if it is submitted anew
            case Resume(round=number):
                self._starting = f"resumed after root round {number}, edges register"
            case Pretrain(done=done, total=total):
                self._starting = f"local models are trained and their images drawn, {done} of {total} clients"
            case Plan(assignment=assignment):
                self._awaited = list(dict.fromkeys(edge for one in assignment for edge in one))
            case Accept(peer=peer) | Refuse(peer=peer) | Lost(peer=peer):
                self._awaited = [edge for edge in self._awaited if edge != peer]


def read_config(run_dir: Path) -> Config | None:
    """Read a run's configuration, if there is one that this version can read."""
    try:
        return from_yaml((run_dir / CONFIG).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, SettingError):
        return None

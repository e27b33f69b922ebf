"""What a run folder tells: its ledger and metrics, folded into where the run stands."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from fedphd.common.config import Config, from_yaml
from fedphd.common.errors import SettingError
from fedphd.common.run.figures import duration, one_line
from fedphd.common.run.ledger import Entry, read_lines
from fedphd.launch.deploy.keys import ROOT
from fedphd.launch.runtimes.processes import FACTS

CONFIG, LEDGER, METRICS = "config.yaml", "ledger.jsonl", "metrics.jsonl"
SENT, CAME = ("send", "resend"), ("accept", "refuse")  # events with a message to a peer, and with one from it

State = Literal["starting", "training", "finished", "failed"]


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


@dataclass
class Traffic:
    """Bytes as encoded, by the ledger or by Flower: down to the nodes, up from them."""

    down: int = 0
    up: int = 0


@dataclass
class RunFolder:
    """A run as far as its folder tells.

    Attributes
    ----------
    path : Path
        The run folder.
    config : Config or None
        The run's configuration; None before it is written, or if this version cannot read it.
    state : {"starting", "training", "finished", "failed"}
        What it was at with the last event; a run that was killed cannot tell so.
    round, committed, rounds : int
        Root round that is worked on, root rounds that are committed, root rounds in all; 0 if not known.
    metrics : Entry
        Newest line of metrics of a committed round; empty before the first.
    first, last : float or None
        When the first and the last event happened.
    heard : dict[tuple[str, str], Heard]
        Newest sign of life of each node, by its tier and its name; the root's own has the tier "".
    as_of : dict[str, float]
        For each tier, the time of the newest of its own events.
    traffic : dict[tuple[str, str, str], Traffic]
        Bytes by hop, tier and node.
    """

    path: Path
    config: Config | None = None
    state: State = "starting"
    round: int = 0
    committed: int = 0
    rounds: int = 0
    metrics: Entry = field(default_factory=dict)
    first: float | None = None
    last: float | None = None
    heard: dict[tuple[str, str], Heard] = field(default_factory=dict)
    as_of: dict[str, float] = field(default_factory=dict)
    traffic: dict[tuple[str, str, str], Traffic] = field(default_factory=dict)
    _doing: str = "edges and clients register"
    _awaited: list[str] = field(default_factory=list)  # edges that have not answered in this root round
    _written: bool = False  # whether the metrics of the newest committed round are

    @property
    def flat(self) -> bool:
        """Whether clients are nodes of the root."""
        return self.config is not None and self.config.topology.edges == 0

    @property
    def doing(self) -> str:
        """Say what is being done."""
        if self.state != "training":
            return self._doing
        if self.round > self.committed:
            if not self._awaited:
                return f"root round {self.round} is averaged"
            awaited = "the clients" if self.flat else ", ".join(self._awaited)
            return f"root round {self.round} is trained, waiting for {awaited}"
        if not self._written:
            return f"root round {self.committed} is evaluated" if self.committed else "the new model is evaluated"
        return f"root round {self.committed + 1} is planned" if self.committed < self.rounds else "the run ends"

    def total(self, hop: str | None = None, tier: str | None = None, node: str | None = None) -> Traffic:
        """Add up the bytes of a hop, a tier's SuperLink or a node; None stands for all."""
        wanted = (hop, tier, node)
        of = [
            traffic
            for key, traffic in self.traffic.items()
            if all(want in (None, own) for want, own in zip(wanted, key, strict=True))
        ]
        return Traffic(sum(one.down for one in of), sum(one.up for one in of))

    def take(self, entry: Entry) -> None:
        """Take in an event of the ledger."""
        tier, event, at = str(entry["node"]), str(entry["event"]), float(entry["time"])
        self.first, self.last = min(self.first or at, at), max(self.last or at, at)
        if entry["tier"] == "edge":
            tier = self._edge_event(entry, tier)
        else:
            self._hear("", ROOT, entry)
            self._root_event(entry)
        self.as_of[tier] = max(self.as_of.get(tier, at), at)
        if event in CAME and entry.get("peer"):
            self._hear(tier, str(entry["peer"]), entry)
        if event in (*SENT, "accept") and entry.get("hop"):
            traffic = self.traffic.setdefault((str(entry["hop"]), tier, str(entry["peer"])), Traffic())
            if event in SENT:
                traffic.down += int(entry["encoded_bytes"])
            else:
                traffic.up += int(entry["encoded_bytes"])

    def _edge_event(self, entry: Entry, edge: str) -> str:
        """Take in an edge's event; return the tier whose SuperLink its messages pass."""
        if entry["event"] == "register" and self.state in ("finished", "failed"):
            self.state, self._doing = "starting", "edges and clients register"  # submitted anew
        tier = ROOT if self.flat else edge
        for client in entry.get("clients", ()) if entry["event"] == "register" else ():
            self._hear(tier, str(client), entry)
        self._hear(ROOT, edge, entry)
        return tier

    def _hear(self, tier: str, node: str, entry: Entry) -> None:
        known = self.heard.get((tier, node))
        if known is None or known.time <= entry["time"]:
            self.heard[tier, node] = Heard(float(entry["time"]), str(entry["event"]), entry.get("round"))

    def _root_event(self, entry: Entry) -> None:
        match entry["event"]:
            case "start":
                self.state, self.rounds, self.round = "training", int(entry["rounds"]), self.committed
            case "resume":
                self.state, self._doing = "starting", f"resumed after root round {entry['round']}, edges register"
                self.round = self.committed = int(entry["round"])
            case "pretrain":
                self._doing = (
                    f"local models are trained and their images drawn, {entry['done']} of {entry['total']} clients"
                )
            case "plan":
                self.round = int(entry["round"])
                self._awaited = list(dict.fromkeys(str(edge) for one in entry["assignment"] for edge in one))
            case "accept" | "refuse" | "lost":
                self._awaited = [edge for edge in self._awaited if edge != entry["peer"]]
            case "commit":
                self.committed = int(entry["round"])
            case "finish":
                self.state, self._doing = "finished", f"finished in {duration(entry['seconds'])}"
            case "fail":
                self.state, self._doing = "failed", f"failed: {one_line(entry['reason'])}"

    def take_metrics(self, entry: Entry) -> None:
        """Take in a line of metrics; one of a round that was taken back by a resume does not count."""
        if entry["round"] <= self.committed:
            self.metrics = entry
            self._written = entry["round"] == self.committed


def is_run_folder(path: Path) -> bool:
    """Whether a run has begun to write into a folder."""
    return any((path / name).exists() for name in (CONFIG, LEDGER, FACTS))


def read_run_folder(path: Path) -> RunFolder:
    """Read a run folder, also of a run that is going on."""
    config = read_config(path)
    run = RunFolder(path, config, rounds=config.rounds if config else 0)
    metrics = list(read_lines(path / METRICS))  # before the ledger, which tells of a round first
    for entry in read_lines(path / LEDGER):
        run.take(entry)
    for entry in metrics:
        run.take_metrics(entry)
    return run


def read_config(run_dir: Path) -> Config | None:
    """Read a run's configuration, if there is one that this version can read."""
    try:
        return from_yaml((run_dir / CONFIG).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, SettingError):
        return None

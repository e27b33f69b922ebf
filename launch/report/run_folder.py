"""Reading a run folder, whatever state its run left it in.

Nothing here fails because the run did: what is missing, or was torn when the run was killed, is
left out. A resumed run repeats rounds; what it did in the end counts.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from fedphd.common.run.figures import HOPS, WAYS, quality
from fedphd.common.run.ledger import Entry, read_lines

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class RunFolder:
    """What a run folder holds.

    Attributes
    ----------
    config : dict
        The composed configuration as a plain tree. It is not checked again, since a report may be
        made where the run's data are not.
    class_names : list[str]
        Names of the classes.
    counts : dict[str, NDArray[float64]]
        Label counts of each client, shape (classes,); fractional under privacy noise.
    homes : dict[str, list[str]]
        The edges that each client can reach.
    metrics : list[Entry]
        One line of metrics for each committed root round, in their order.
    ledger : LedgerDigest
        The events.
    grids : dict[int, bytes]
        Sample grids as PNG files by root round, in their order.
    """

    config: dict[str, Any]
    class_names: list[str]
    counts: dict[str, NDArray[np.float64]]
    homes: dict[str, list[str]]
    metrics: list[Entry]
    ledger: "LedgerDigest"
    grids: dict[int, bytes]

    @classmethod
    def read(cls, run_dir: Path) -> "RunFolder":
        """Read the folder `run_dir`."""
        partition = _mapping(run_dir / "partition.json")
        clients = partition.get("clients", {})
        return cls(
            config=_mapping(run_dir / "config.yaml"),
            class_names=[str(name) for name in partition.get("class_names", [])],
            counts={name: np.asarray(client["counts"], float) for name, client in clients.items()},
            homes={name: client["homes"] for name, client in clients.items()},
            metrics=list(_newest_by_round(read_lines(run_dir / "metrics.jsonl")).values()),
            ledger=LedgerDigest.of(read_lines(run_dir / "ledger.jsonl")),
            grids=_grids(run_dir / "samples"),
        )

    def setting(self, key: str, default: object = "unknown") -> Any:
        """Look up a setting by its dotted name."""
        value: Any = self.config
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value

    @property
    def latest(self) -> Entry | None:
        """Metrics of the newest root round."""
        return self.metrics[-1] if self.metrics else None

    @cached_property
    def evaluations(self) -> list[Entry]:
        """Metrics of the rounds whose model was measured, with the measure that was used last."""
        measured = [(found[0], line) for line in self.metrics if (found := quality(line))]
        return [line for measure, line in measured if measure == measured[-1][0]]

    @property
    def flat(self) -> bool:
        """Whether the clients talk to the root itself."""
        return bool(self.setting("topology.edges") == 0)

    @cached_property
    def edges(self) -> list[str]:
        """Names of the edges, in the order of their numbers."""
        named = {edge for homes in self.homes.values() for edge in homes}
        named |= {edge for plan in self.ledger.plans.values() for one in plan["assignment"] for edge in one}
        return sorted(named, key=natural)

    @cached_property
    def hops(self) -> list[str]:
        """The hops that exist: a flat topology has no backbone."""
        return [hop for hop in HOPS if not (self.flat and hop == "backbone")]


@dataclass
class LedgerDigest:
    """The events of a ledger, sorted by what the report needs.

    Attributes
    ----------
    status : str
        "not started", "running", "finished" or "failed".
    started : float or None
        Time of the first event, in seconds since the epoch.
    plans, commits, prunings, corrections : dict[int, Entry]
        Events by root round, in their order, without the rounds that a resume took back.
    messages, encoded : Counter
        Messages, and bytes as encoded, by (hop, direction); what only measures is left out.
    incidents : list[Entry]
        Updates refused or lost, failures and resumes.
    """

    status: str = "not started"
    started: float | None = None
    plans: dict[int, Entry] = field(default_factory=dict)
    commits: dict[int, Entry] = field(default_factory=dict)
    prunings: dict[int, Entry] = field(default_factory=dict)
    corrections: dict[int, Entry] = field(default_factory=dict)
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    encoded: Counter[tuple[str, str]] = field(default_factory=Counter)
    incidents: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Entry]) -> "LedgerDigest":
        """Sort `events`, which are in the order of their writing."""
        digest = cls()
        for event in events:
            digest._take(event)
        return digest

    def _take(self, event: Entry) -> None:
        kind = event["event"]
        self.started = event["time"] if self.started is None else self.started
        self.status = {"finish": "finished", "fail": "failed"}.get(kind, "running")
        match kind:
            case "send" | "resend" | "accept" if "hop" in event and event.get("task") != "draw":
                lane = (event["hop"], WAYS[kind == "accept"])
                self.messages[lane] += 1
                self.encoded[lane] += event["encoded_bytes"]
            case "plan":
                self.plans[event["round"]] = event
            case "commit":
                self.commits[event["round"]] = event
            case "prune":
                self.prunings[event["round"]] = event
            case "correct":
                self.corrections[event["round"]] = event
            case "refuse" | "lost" | "fail" | "resume":
                self.incidents.append(event)
        if kind == "resume":
            self._go_back(event["round"])

    def _go_back(self, root_round: int) -> None:
        for by_round in (self.plans, self.commits, self.prunings, self.corrections):
            for later in [key for key in by_round if key > root_round]:
                del by_round[later]


def natural(name: str) -> tuple[str, int]:
    """Sort key that puts ``edge-10`` behind ``edge-9``."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdecimal() else (name, 0)


def _newest_by_round(lines: Iterable[Entry]) -> dict[int, Entry]:
    """Keep the last line of each root round; a round that is repeated takes back those after it."""
    kept: dict[int, Entry] = {}
    for line in lines:
        for later in [number for number in kept if number >= line["round"]]:
            del kept[later]
        kept[line["round"]] = line
    return kept


def _mapping(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file; empty if it is missing or was torn."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _grids(folder: Path) -> dict[int, bytes]:
    images = {int(path.stem.rpartition("_")[2]): path.read_bytes() for path in sorted(folder.glob("round_*.png"))}
    whole = {number: png for number, png in images.items() if png.startswith(PNG_START) and png.endswith(PNG_END)}
    return dict(sorted(whole.items()))

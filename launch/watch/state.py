"""Where a run stands: its events and metrics, folded one by one into a state and into lines to print."""

from collections import deque
from dataclasses import dataclass, field

from fedphd.common.run.figures import duration, one_line, payload, quality, size, three_digits
from fedphd.common.run.ledger import Entry
from fedphd.launch.watch.preparation import Preparation

PACE_ROUNDS = 5  # newest rounds from which the time left is estimated
GAP = "  "
WARNING, NOTICE, SUMMARY, DETAIL = "yellow", "green", "bold", "dim"  # rich styles

Line = tuple[str, str]  # text and style


@dataclass
class EdgeState:
    """An edge within the current root round.

    Attributes
    ----------
    plan : list[int]
        Clients that it is to train in each edge round.
    aggregates : list[Entry]
        Its edge rounds that are over.
    accepted : int
        Sound updates in the edge round that is not.
    trained : set[str]
        Clients that gave a sound update in this root round.
    """

    plan: list[int] = field(default_factory=list)
    aggregates: list[Entry] = field(default_factory=list)
    accepted: int = 0
    trained: set[str] = field(default_factory=set)

    @property
    def done(self) -> int:
        """Edge rounds that are over; those without clients leave no event."""
        busy = [index for index, clients in enumerate(self.plan) if clients]
        return busy[len(self.aggregates)] if len(self.aggregates) < len(busy) else len(self.plan)

    @property
    def info(self) -> str:
        """What stands beside its bar."""
        if not self.plan:
            return ""
        return f"{self.accepted}/{self.plan[self.done]} clients" if self.done < len(self.plan) else "done"

    def summary(self, name: str, root_round: int) -> str:
        """Tell its root round in one line."""
        clients, samples = len(self.trained), sum(one["samples"] for one in self.aggregates)
        parts = [name, f"round {root_round}", f"{clients} client{'s' * (clients != 1)}", f"{samples} samples"]
        if samples:
            parts.append(f"loss {sum(one['samples'] * one['loss'] for one in self.aggregates) / samples:.4f}")
        return GAP.join(parts)


@dataclass
class RunState:
    """A run as far as its files tell.

    Attributes
    ----------
    rounds, round : int
        Root rounds in all; committed and written down.
    latest : Entry
        The newest line of metrics; empty before the first.
    quality : tuple[str, float] or None
        Name and value of the newest quality measure.
    edges : dict[str, EdgeState]
        Every edge in the current root round.
    preparation : Preparation or None
        What is done before the first round, while it is done.
    pace : float or None
        Seconds per root round, evaluation included; None before two rounds are known.
    """

    rounds: int = 0
    round: int = 0
    latest: Entry = field(default_factory=dict)
    quality: tuple[str, float] | None = None
    edges: dict[str, EdgeState] = field(default_factory=dict)
    preparation: Preparation | None = None
    pace: float | None = None
    _elapsed: deque[float] = field(default_factory=lambda: deque(maxlen=PACE_ROUNDS + 1))

    @property
    def info(self) -> str:
        """What stands beside the root's bar."""
        parts = [self.latest["phase"], *_loss(self.latest)] if self.latest else []
        if self.quality:
            parts.append(f"{self.quality[0]} {three_digits(self.quality[1])}")
        if self.latest:
            parts.append(size(payload(self.latest)))
        if self.pace is not None:
            parts.append(f"{duration(self.pace * max(0, self.rounds - self.round))} left")
        return GAP.join(parts)

    def event(self, entry: Entry) -> list[Line]:
        """Take in an event of the ledger; return the lines that it is worth."""
        if entry["tier"] == "edge":
            self._edge_event(entry)
        match entry["event"]:
            case "start":
                self.rounds = entry["rounds"]
            case "pretrain" | "draw":
                return self._prepare(entry)
            case "plan":
                self.preparation = None
                names = self.edges.keys() | {name for one in entry["assignment"] for name in one}
                plans = {name: [len(one.get(name, ())) for one in entry["assignment"]] for name in sorted(names)}
                self.edges = {name: EdgeState(plan) for name, plan in plans.items()}
            case "commit":
                return [(edge.summary(name, entry["round"]), DETAIL) for name, edge in self.edges.items()]
            case "resume":
                self.round, self.preparation = entry["round"], None
                self._elapsed.clear()
        return _notice(entry)

    def metrics(self, entry: Entry) -> Line:
        """Take in the metrics of a committed root round; return its line."""
        if entry["round"] <= self.round:  # the run went back to a checkpoint
            self._elapsed.clear()
        if entry["structure"] != self.latest.get("structure"):  # from here on rounds take another time
            self._elapsed = deque(list(self._elapsed)[-1:], self._elapsed.maxlen)
        self._elapsed.append(entry["elapsed"])
        if len(self._elapsed) > 1:
            self.pace = (self._elapsed[-1] - self._elapsed[0]) / (len(self._elapsed) - 1)
        self.round, self.latest = entry["round"], entry
        evaluated = quality(entry)
        self.quality = evaluated or self.quality
        parts = ["root", f"round {self.round}/{self.rounds}", *_loss(entry)]
        if evaluated:
            parts.append(f"{evaluated[0]} {three_digits(evaluated[1])}")
        parts += [f"{three_digits(entry['parameters'] / 1e6)} M parameters", size(payload(entry))]
        return GAP.join([*parts, duration(entry["seconds"])]), SUMMARY

    def _prepare(self, entry: Entry) -> list[Line]:
        self.preparation = self.preparation or Preparation()
        text = self.preparation.event(entry)
        if self.preparation.over:
            self.preparation = None
        return [] if text is None else [(GAP.join(["root", text]), DETAIL)]

    def _edge_event(self, entry: Entry) -> None:
        edge = self.edges.setdefault(entry["node"], EdgeState())
        match entry["event"]:
            case "accept":
                edge.accepted += 1
                edge.trained.add(entry["peer"])
            case "aggregate":
                edge.aggregates.append(entry)
                edge.accepted = 0


def _loss(metrics: Entry) -> list[str]:
    return [] if metrics["loss"] is None else [f"loss {metrics['loss']:.4f}"]


def _notice(entry: Entry) -> list[Line]:
    """Tell an event that is more than routine."""
    match entry["event"]:
        case "prune":
            before, after = (three_digits(entry[f"parameters_{when}"] / 1e6) for when in ("before", "after"))
            macs = f"MACs x {entry['macs_after'] / entry['macs_before']:.3f}"
            parts = [
                f"round {entry['round']}",
                f"pruned at ratio {entry['ratio']:g}",
                f"{before} -> {after} M parameters",
            ]
            return [(GAP.join(["root", *parts, macs]), NOTICE)]
        case "correct":
            what = f"corrected in {entry['steps']} steps"
            parts = ["root", f"round {entry['round']}", what, f"loss {entry['loss']:.4f}"]
            return [(GAP.join([*parts, duration(entry["seconds"])]), NOTICE)]
        case "resume":
            return [(f"root  resumed after round {entry['round']}", NOTICE)]
        case "finish":
            return [(f"root  finished in {duration(entry['seconds'])}", NOTICE)]
        case "refuse" | "lost":
            where = [f"round {entry['round']}"]
            if entry["edge_round"] is not None:
                where.append(f"edge round {entry['edge_round']}")
            what = f"{entry['event']} {entry['peer']}: {one_line(entry['reason'])}"
            return [(GAP.join([entry["node"], *where, what]), WARNING)]
    return []

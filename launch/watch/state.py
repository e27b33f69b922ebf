"""Where a run stands: its history, and what only the display needs, folded one by one into lines to print."""

from dataclasses import dataclass, field

from fedphd.common.run.events import Accept, Aggregate, Commit, Draw, Event, Plan, Pretrain, Resume
from fedphd.common.run.figures import duration, size, three_digits
from fedphd.common.run.history import History
from fedphd.common.run.ledger import EDGE, Entry
from fedphd.common.run.metrics import Metrics
from fedphd.launch.watch.notices import DETAIL, GAP, Line, loss_of, notice, round_line
from fedphd.launch.watch.pace import Pace
from fedphd.launch.watch.preparation import Preparation


@dataclass
class EdgeState:
    """An edge within the current root round.

    Attributes
    ----------
    plan : list[int]
        Clients that it is to train in each edge round.
    aggregates : list[Aggregate]
        Its edge rounds that are over.
    accepted : int
        Sound updates in the edge round that is not.
    trained : set[str]
        Clients that gave a sound update in this root round.
    """

    plan: list[int] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
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

    def take(self, event: Event) -> None:
        """Take in an event of the edge's."""
        match event:
            case Accept():
                self.accepted += 1
                self.trained.add(event.peer)
            case Aggregate():
                self.aggregates.append(event)
                self.accepted = 0

    def summary(self, name: str, root_round: int) -> str:
        """Tell its root round in one line."""
        clients, samples = len(self.trained), sum(one.samples for one in self.aggregates)
        parts = [name, f"round {root_round}", f"{clients} client{'s' * (clients != 1)}", f"{samples} samples"]
        if samples:
            parts.append(f"loss {sum(one.samples * one.loss for one in self.aggregates) / samples:.4f}")
        return GAP.join(parts)


@dataclass
class RunState:
    """A run as the display shows it.

    Attributes
    ----------
    history : History
        What the run's files tell.
    edges : dict[str, EdgeState]
        Every edge in the current root round.
    preparation : Preparation or None
        What is done before the first round, while it is done.
    pace : Pace
        How fast the rounds follow each other.
    configured : int
        Root rounds in all by the configuration; the ledger says so once training begins.
    """

    history: History = field(default_factory=History)
    edges: dict[str, EdgeState] = field(default_factory=dict)
    preparation: Preparation | None = None
    pace: Pace = field(default_factory=Pace)
    configured: int = 0

    @property
    def rounds(self) -> int:
        """Root rounds in all."""
        return self.history.rounds or self.configured

    @property
    def round(self) -> int:
        """Root rounds that are committed and written down."""
        return self.history.latest.round if self.history.latest else 0

    @property
    def info(self) -> str:
        """What stands beside the root's bar."""
        latest, quality = self.history.latest, self.history.quality
        parts = [latest.phase, *loss_of(latest)] if latest else []
        if quality:
            parts.append(f"{quality[0]} {three_digits(quality[1])}")
        if latest:
            parts.append(size(latest.payload))
        if self.pace.seconds is not None:
            parts.append(f"{duration(self.pace.seconds * max(0, self.rounds - self.round))} left")
        return GAP.join(parts)

    def take(self, told: Entry | Metrics) -> list[Line]:
        """Take in an event or a line of metrics; return the lines that it is worth."""
        before = self.history.latest
        self.history.take(told)
        if isinstance(told, Entry):
            return self._take_entry(told)
        if self.history.latest is not told:  # of a round that a resume took back
            return []
        self.pace.take(told, before)
        return [round_line(told, self.rounds)]

    def _take_entry(self, entry: Entry) -> list[Line]:
        if entry.tier == EDGE:
            self.edges.setdefault(entry.node, EdgeState()).take(entry.event)
        match entry.event:
            case Pretrain() | Draw() as event:
                return self._prepare(event)
            case Plan() as event:
                self.preparation = None
                names = self.edges.keys() | {name for one in event.assignment for name in one}
                plans = {name: [len(one.get(name, ())) for one in event.assignment] for name in sorted(names)}
                self.edges = {name: EdgeState(plan) for name, plan in plans.items()}
            case Commit() as event:
                return [(edge.summary(name, event.round), DETAIL) for name, edge in self.edges.items()]
            case Resume():
                self.preparation = None
                self.pace.forget()
        return notice(entry)

    def _prepare(self, event: Pretrain | Draw) -> list[Line]:
        self.preparation = self.preparation or Preparation()
        text = self.preparation.take(event)
        if self.preparation.over:
            self.preparation = None
        return [] if text is None else [(GAP.join(["root", text]), DETAIL)]

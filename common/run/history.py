"""A run's history: its ledger and its metrics, folded one by one, without what a resume took back."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from fedphd.common.run.crossings import Crossings
from fedphd.common.run.events import (
    Commit,
    Correct,
    Event,
    Fail,
    Finish,
    Lost,
    Note,
    Plan,
    Prune,
    Refuse,
    Register,
    Resend,
    Resume,
    Start,
)
from fedphd.common.run.ledger import Entry
from fedphd.common.run.metrics import Metrics

State = Literal["starting", "training", "finished", "failed"]


@dataclass
class History:
    """What a run folder tells of its run, whatever state the run is in.

    Attributes
    ----------
    state : {"starting", "training", "finished", "failed"}
        What the run was at with the last event; a run that was killed cannot tell so.
    ending : Finish, Fail or None
        How the run ended; None while it goes on.
    first, last : float or None
        When the first and the last event happened, in seconds since the epoch.
    rounds : int
        Root rounds in all; 0 before training begins.
    round : int
        Root round that is worked on, or was last.
    committed : int
        Root rounds that are committed.
    plans, commits, prunings, corrections : dict[int, Event]
        Events by root round, in their order.
    incidents : list[Entry]
        Answers refused or lost, failures and resumes.
    notes : dict[str, dict[str, None]]
        What each client told of its images when it registered, each line once.
    crossings : Crossings
        What crossed the hops.
    """

    state: State = "starting"
    ending: Finish | Fail | None = None
    first: float | None = None
    last: float | None = None
    rounds: int = 0
    round: int = 0
    committed: int = 0
    plans: dict[int, Plan] = field(default_factory=dict)
    commits: dict[int, Commit] = field(default_factory=dict)
    prunings: dict[int, Prune] = field(default_factory=dict)
    corrections: dict[int, Correct] = field(default_factory=dict)
    incidents: list[Entry] = field(default_factory=list)
    notes: dict[str, dict[str, None]] = field(default_factory=dict)
    crossings: Crossings = field(default_factory=Crossings)
    _metrics: dict[int, Metrics] = field(default_factory=dict)
    _attempts: Counter[int] = field(default_factory=Counter)  # how often each round was committed ...
    _lines: Counter[int] = field(default_factory=Counter)  # ... and its metrics were written
    _resumed: bool = False

    @classmethod
    def of(cls, told: Iterable[Entry | Metrics]) -> "History":
        """Fold all that a run folder tells, in the order in which it happened."""
        history = cls()
        for one in told:
            history.take(one)
        return history

    @property
    def metrics(self) -> dict[int, Metrics]:
        """Metrics by root round, in their order, without those of rounds that a resume took back."""
        return {number: one for number, one in self._metrics.items() if self._holds(number)}

    @property
    def latest(self) -> Metrics | None:
        """Metrics of the newest root round."""
        return next((one for number, one in reversed(self._metrics.items()) if self._holds(number)), None)

    @property
    def quality(self) -> tuple[str, float] | None:
        """Name and value of the newest quality measure."""
        return next((found for one in reversed(self.metrics.values()) if (found := one.quality)), None)

    def take(self, told: Entry | Metrics) -> None:
        """Take in an event, or a line of metrics."""
        if isinstance(told, Entry):
            self._take_entry(told)
        else:
            self._lines[told.round] += 1
            self._drop(self._metrics, told.round)  # a round that is repeated takes back those after it
            self._metrics[told.round] = told

    def _holds(self, number: int) -> bool:
        """Whether a round's metrics are of what the run did in the end.

        Nothing tells whether a line of metrics is older than an event, so it may not depend on which was read first.
        """
        if not self._resumed or number < self.committed:
            return True
        moved_on = self.round > number or self.ending is not None
        return number == self.committed and (moved_on or self._lines[number] >= self._attempts[number])

    def _take_entry(self, entry: Entry) -> None:
        event = entry.event
        self.first = min(event.time if self.first is None else self.first, event.time)
        self.last = max(event.time if self.last is None else self.last, event.time)
        self._follow(event)
        self.crossings.take(entry)
        if isinstance(event, Refuse | Lost | Fail | Resume):
            self.incidents.append(entry)

    def _follow(self, event: Event) -> None:
        """Follow the run's course."""
        if self.ending is not None and _begins(event):  # it goes on after all
            self.state, self.ending = "starting", None
        match event:
            case Start():
                self.state, self.rounds, self.round = "training", event.rounds, self.committed
            case Resume():
                self._go_back(event.round)
            case Note():
                self.notes.setdefault(event.peer, {})[event.text] = None
            case Plan():
                self.round, self.plans[event.round] = event.round, event
            case Correct():
                self.corrections[event.round] = event
            case Commit():
                self.committed, self.commits[event.round] = event.round, event
                self._attempts[event.round] += 1
            case Prune():
                self.prunings[event.round] = event
            case Finish():
                self.state, self.ending = "finished", event
            case Fail():
                self.state, self.ending = "failed", event

    def _go_back(self, root_round: int) -> None:
        self.state, self._resumed = "starting", True
        self.round = self.committed = root_round
        for by_round in (self.plans, self.corrections, self.commits, self.prunings):
            self._drop(by_round, root_round + 1)

    @staticmethod
    def _drop(by_round: dict[int, Any], first: int) -> None:
        """Drop what is of the round `first` or later."""
        for later in [key for key in by_round if key >= first]:
            del by_round[later]


def _begins(event: Event) -> bool:
    """Whether a run that had ended goes on: an edge that outlived it may still tell of a message."""
    return isinstance(event, Register | Resume | Start) or (isinstance(event, Resend) and event.round is None)

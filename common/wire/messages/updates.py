"""What a client reports after an edge round, and an edge after a root round."""

import json
from dataclasses import asdict, dataclass, field
from reprlib import repr as shortened
from typing import Self

from flwr.app import ConfigRecord, RecordDict

from fedphd.common.network.structure import Structure
from fedphd.common.run.events import Event
from fedphd.common.run.forwarding import write_events
from fedphd.common.wire import records
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.messages.events import read_events
from fedphd.common.wire.messages.models import CONTROL, MODEL, STRUCTURE, read_upload, write_upload
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic


@dataclass(frozen=True)
class ClientUpdate:
    """What a client reports after an edge round.

    Attributes
    ----------
    model : CodedModel
        The parts of the trained model that were asked for.
    client, edge_round : str, int
        Who trained, and for which edge round.
    samples : int
        n_k: images that it trained on, as it registered them: with noise on its histogram, a sum of noisy counts.
    loss : float
        Mean objective per image over the round.
    seconds : float
        Wall time of the training.
    control : CodedModel or None
        The change of the client's control variates, of the same tensors (SCAFFOLD).
    """

    model: CodedModel
    client: str
    edge_round: int
    samples: int
    loss: float
    seconds: float
    control: CodedModel | None = None

    @property
    def sender(self) -> str:
        """Who reports."""
        return self.client

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic."""
        return self.model, self.control

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        report = {
            "client": self.client,
            "edge-round": self.edge_round,
            "samples": self.samples,
            "loss": self.loss,
            "seconds": self.seconds,
        }
        return RecordDict({**write_upload(self.model, self.control), "report": ConfigRecord(report)})

    @classmethod
    def read(cls, content: RecordDict, expected: Structure) -> Self:
        """Read and check; the model must have the expected structure."""
        records.only(content, MODEL, STRUCTURE, CONTROL, "report")
        record = records.config(content, "report", "client edge-round samples loss seconds")
        model, control = read_upload(content, expected)
        return cls(
            model=model,
            client=records.text(record, "client"),
            edge_round=records.count(record, "edge-round"),
            samples=records.count(record, "samples"),
            loss=records.number(record, "loss"),
            seconds=records.duration(record, "seconds"),
            control=control,
        )


@dataclass(frozen=True)
class EdgeRound:
    """What happened in one edge round: clients that counted, their images, mean loss, wall time, traffic."""

    clients: list[str]
    samples: int
    loss: float | None
    seconds: float
    down: Traffic = NO_TRAFFIC
    up: Traffic = NO_TRAFFIC

    @classmethod
    def read(cls, entry: object) -> Self:
        """Read and check one entry of the JSON list in which edge rounds travel."""
        if not isinstance(entry, dict):
            raise MessageError("'rounds' has an entry that is no edge round")
        record = records.record({key: value for key, value in entry.items() if key not in ("down", "up")})
        one = cls(
            clients=records.names(record, "clients"),
            samples=records.count(record, "samples"),
            loss=records.number(record, "loss") if "loss" in record else None,
            seconds=records.duration(record, "seconds"),
            down=read_traffic(entry.get("down")),
            up=read_traffic(entry.get("up")),
        )
        if not set(record) <= set(asdict(one)) or (one.loss is None) != (one.samples == 0):
            raise MessageError("'rounds' has an edge round with unknown entries, or with images and no loss")
        return one


def read_traffic(entry: object) -> Traffic:
    """Read and check a JSON object of counts."""
    record = records.record(entry)
    if set(record) != set(asdict(NO_TRAFFIC)):
        raise MessageError(f"traffic must have the entries {', '.join(asdict(NO_TRAFFIC))}")
    return Traffic(**{key: records.count(record, key) for key in record})


@dataclass(frozen=True)
class EdgeUpdate:
    """What an edge reports after a root round.

    Attributes
    ----------
    model : CodedModel
        The parts of the edge's model that the exchange shares.
    edge, root_round : str, int
        Who reports, and for which root round.
    q : list[float]
        q_e: label distribution of all images trained on in the root round.
    rounds : list[EdgeRound]
        One entry for each edge round.
    events : list[Event]
        Events of the edge's own ledger, where it has one.
    control : CodedModel or None
        The sum of its clients' changes of control variates (SCAFFOLD).
    """

    model: CodedModel
    edge: str
    root_round: int
    q: list[float]
    rounds: list[EdgeRound] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    control: CodedModel | None = None

    @property
    def sender(self) -> str:
        """Who reports."""
        return self.edge

    @property
    def models(self) -> tuple[CodedModel | None, ...]:
        """What of it counts as traffic."""
        return self.model, self.control

    @property
    def latest_samples(self) -> int:
        """m_e: images trained on in the latest edge round in which the edge had clients; 0 if it never had."""
        return next((one.samples for one in reversed(self.rounds) if one.samples), 0)

    @property
    def samples(self) -> int:
        """Images trained on in the whole root round, those of one client once for each edge round."""
        return sum(one.samples for one in self.rounds)

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        report = {
            "edge": self.edge,
            "root-round": self.root_round,
            "q": self.q,
            "rounds": json.dumps([asdict(one) for one in self.rounds]),
            "events": write_events(self.events),
        }
        return RecordDict({**write_upload(self.model, self.control), "report": ConfigRecord(report)})

    @classmethod
    def read(cls, content: RecordDict, expected: Structure) -> Self:
        """Read and check; the model must have the expected structure."""
        records.only(content, MODEL, STRUCTURE, CONTROL, "report")
        record = records.config(content, "report", "edge root-round q rounds events")
        q = records.numbers(record, "q")
        if min(q, default=-1.0) < 0 or abs(sum(q) - 1) > 1e-6:
            raise MessageError(f"'q' must be fractions that sum to one, not {shortened(q)}")
        model, control = read_upload(content, expected)
        return cls(
            model=model,
            edge=records.text(record, "edge"),
            root_round=records.count(record, "root-round"),
            q=q,
            rounds=[EdgeRound.read(entry) for entry in records.json_list(record, "rounds")],
            events=read_events(record),
            control=control,
        )

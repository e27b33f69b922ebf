"""What a tier writes to the ledger about the hop below it."""

from typing import Any

from flwr.app import RecordDict

from fedphd.common.run.events import Accept, Event, Resend, Send
from fedphd.common.run.events.hop import Hop
from fedphd.common.run.ledger import Ledger
from fedphd.common.wire.codec.coded import CodedModel
from fedphd.common.wire.messages import content_bytes
from fedphd.common.wire.traffic import NO_TRAFFIC, Traffic


class HopLog:
    """The ledger, as one node writes to it.

    Parameters
    ----------
    ledger : Ledger
        The node's own, or the run's.
    hop : Hop
        "access": between clients and edges; "backbone": between edges and root.
    edge : str, optional
        The edge that writes; by default the root does.
    exists : bool
        Whether messages cross a network there: without an edge tier there is no backbone.
    """

    def __init__(self, ledger: Ledger, hop: Hop, edge: str | None = None, *, exists: bool = True) -> None:
        self.ledger = ledger
        self.hop = hop
        self.edge = edge
        self.exists = exists

    def write(self, event: Event) -> None:
        """Write an event of this node."""
        self.ledger.write(event, self.edge)

    def crossed(
        self, kind: type[Send | Resend | Accept], content: RecordDict, *models: CodedModel | None, **facts: Any
    ) -> Traffic:
        """Write that a message with these models crossed the hop, and count it.

        Parameters
        ----------
        kind : type
            What happened to the message.
        content : RecordDict
            All that it carries.
        models : CodedModel or None
            Those of its models that are counted.
        facts : Any
            What else the event tells; they come before what is counted here.
        """
        traffic = self.count(*models)
        sent = [model for model in models if model is not None]
        counted = {
            "hop": self.hop,
            "parameters": traffic.parameters,
            "payload_bytes": traffic.bytes,
            "encoded_bytes": content_bytes(content) if self.exists else 0,
            "structure": sent[0].structure.id if sent else None,
        }
        self.write(kind(**{**counted, **facts}))
        return traffic

    def count(self, *models: CodedModel | None) -> Traffic:
        """Count one message with these models."""
        return Traffic.of(*models) if self.exists else NO_TRAFFIC

"""What a tier writes to the ledger about the hop below it."""

from flwr.app import RecordDict

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
    hop : str
        "access": between clients and edges; "backbone": between edges and root.
    tier, node : str
        Who writes.
    exists : bool
        Whether messages cross a network there: without an edge tier there is no backbone.
    """

    def __init__(self, ledger: Ledger, hop: str, *, tier: str, node: str, exists: bool = True) -> None:
        self.ledger = ledger
        self.hop = hop
        self.tier = tier
        self.node = node
        self.exists = exists

    def event(self, event: str, **facts: object) -> None:
        """Write an event."""
        self.ledger.event(event, tier=self.tier, node=self.node, **facts)

    def crossed(self, event: str, content: RecordDict, *models: CodedModel | None, **facts: object) -> Traffic:
        """Write that a message with these models crossed the hop, and count it."""
        traffic = self.count(*models)
        sent = [model for model in models if model is not None]
        counted = {
            "hop": self.hop,
            "parameters": traffic.parameters,
            "payload_bytes": traffic.bytes,
            "encoded_bytes": content_bytes(content) if self.exists else 0,
            "structure": sent[0].structure.id if sent else None,
        }
        self.event(event, **{**counted, **facts})
        return traffic

    def count(self, *models: CodedModel | None) -> Traffic:
        """Count one message with these models."""
        return Traffic.of(*models) if self.exists else NO_TRAFFIC

"""What crossed a hop in one direction."""

from collections.abc import Iterable
from dataclasses import dataclass

from fedphd.common.wire.codec.coded import CodedModel

LANES = ("access_down", "access_up", "backbone_down", "backbone_up")


@dataclass(frozen=True)
class Traffic:
    """Messages with models, the models' numbers (parameters), and bytes as coded (payload)."""

    messages: int = 0
    parameters: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, *models: CodedModel | None) -> "Traffic":
        """Count one message with these models."""
        sent = [model for model in models if model is not None]
        return cls(1, sum(model.structure.size for model in sent), sum(model.nbytes for model in sent))

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.messages + other.messages, self.parameters + other.parameters, self.bytes + other.bytes)


NO_TRAFFIC = Traffic()


def total(traffic: Iterable[Traffic]) -> Traffic:
    """Add up."""
    return sum(traffic, NO_TRAFFIC)

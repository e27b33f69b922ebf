"""FedDDPM's correction: local models, the images drawn from them, and the fine-tuning on these."""

from typing import ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from fedphd.common.run.events.event import Event


class Pretrain(Event):
    """The root waits for a client's local model."""

    name: ClassVar[str] = "pretrain"

    peer: str = Field(description="The client")
    done: NonNegativeInt = Field(description="Clients whose images are drawn")
    total: PositiveInt = Field(description="Clients whose images are drawn in the end")


class Draw(Event):
    """A chunk of auxiliary images was drawn from a client's local model, and stored."""

    name: ClassVar[str] = "draw"

    peer: str = Field(description="The client")
    done: NonNegativeInt = Field(description="Images that are stored")
    total: PositiveInt = Field(description="Images that are stored in the end")
    left: NonNegativeInt = Field(description="Images of this client that are still to be drawn")


class Correct(Event):
    """A new global model was fine-tuned on the auxiliary images; its round's commit follows."""

    name: ClassVar[str] = "correct"

    round: PositiveInt = Field(description="Root round whose model it is")
    steps: PositiveInt = Field(description="Optimizer steps")
    loss: float = Field(description="Mean loss over the steps")
    seconds: NonNegativeFloat = Field(description="Wall time")

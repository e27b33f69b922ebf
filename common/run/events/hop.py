"""Messages on a hop: sent, sent again, accepted, refused, lost."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from fedphd.common.run.events.event import Event

Hop = Literal["access", "backbone"]
Task = Literal["local", "draw", "assess"]

ROUND = "Root round that it belongs to; 0: before the first"
EDGE_ROUND = "Edge round that it belongs to, counted from 0 over the whole run; absent or null: of none"
PEER = "The node at the other end: an edge or a client"
TASK = (
    "What the clients are asked for, if not a round's training: `local`, a model of their own, `draw`, images, or "
    "`assess`, how good a model is for their own images"
)
HOP = "`access`: between clients and edges; `backbone`: between edges and root"
PARAMETERS = "Numbers in the models that it carries"
PAYLOAD = "Bytes of these numbers as coded; of images, their bytes"
ENCODED = "Bytes of the whole message as Flower counts them; 0 where it crosses no network"
TRAINED = (
    "Of drawings: whether the client drew with its model as it last trained it; false: with what it shares as it came, "
    "as `evaluation.clients=averaged` asks, and where it has not trained"
)
STRUCTURE = "Id of the model's structure; null: no model"


class Register(Event):
    """All clients of an edge have told who they are."""

    name: ClassVar[str] = "register"

    clients: list[str] = Field(description="The clients")


class Note(Event):
    """A client told, when it registered, what was left out or changed of its images, or its classes look mistaken."""

    name: ClassVar[str] = "note"

    peer: str = Field(description="The client")
    text: str = Field(description="What it told, or what may be a mistake, in one line")


class _OfPeer(Event):
    """Of a message to or from a peer, in a round or for an errand."""

    round: NonNegativeInt = Field(description=ROUND)
    edge_round: NonNegativeInt | None = Field(None, description=EDGE_ROUND)
    peer: str = Field(description=PEER)
    task: Task | None = Field(None, description=TASK)


class _Counted(_OfPeer):
    """Of a message that crossed a hop, with what it carried."""

    hop: Hop = Field(description=HOP)
    parameters: NonNegativeInt = Field(description=PARAMETERS)
    payload_bytes: NonNegativeInt = Field(description=PAYLOAD)
    encoded_bytes: NonNegativeInt = Field(description=ENCODED)
    structure: str | None = Field(description=STRUCTURE)


class Send(_Counted):
    """An order was sent to a peer."""

    name: ClassVar[str] = "send"


class Accept(_Counted):
    """A sound answer came from a peer."""

    name: ClassVar[str] = "accept"

    samples: NonNegativeInt | None = Field(None, description="Images that the peer trained on; absent for drawings")
    loss: float | None = Field(None, description="Mean loss of the training; null: nobody trained")
    seconds: NonNegativeFloat | None = Field(
        None, description="Wall time of the training; it tells about how many images a client has"
    )
    trained: bool | None = Field(None, description=TRAINED)


class Resend(Event):
    """A message was sent again, since its receiver went away; without counts if it carries no model."""

    name: ClassVar[str] = "resend"

    round: NonNegativeInt | None = Field(None, description=ROUND)
    edge_round: NonNegativeInt | None = Field(None, description=EDGE_ROUND)
    peer: str = Field(description=PEER)
    task: Task | None = Field(None, description=TASK)
    reason: str = Field(description="Why")
    hop: Hop | None = Field(None, description=HOP)
    parameters: NonNegativeInt = Field(0, description=PARAMETERS)
    payload_bytes: NonNegativeInt = Field(0, description=PAYLOAD)
    encoded_bytes: NonNegativeInt = Field(0, description=ENCODED)
    structure: str | None = Field(None, description=STRUCTURE)


class Refuse(_OfPeer):
    """An answer came that is not sound, and does not count."""

    name: ClassVar[str] = "refuse"

    reason: str = Field(description="What is wrong with it")


class Lost(_OfPeer):
    """No answer came, or an error in its place."""

    name: ClassVar[str] = "lost"

    reason: str = Field(description="Flower's error, with its number")

"""The events of an edge's ledger that travel to the root, so that the root's ledger tells the whole run."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError

from fedphd.common.run.ledger import Entry

LONGEST = 2000  # characters of a text, as a reason; longer ones are cut
Text = Annotated[str, Field(max_length=LONGEST)]


class EdgeEvent(BaseModel):
    """What an edge may tell; anything else is refused, since the root's reports are made of it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    time: float
    event: Literal["register", "send", "resend", "accept", "refuse", "lost", "aggregate", "restart"]
    round: NonNegativeInt | None = None
    edge_round: NonNegativeInt | None = None
    peer: Text | None = None
    hop: Literal["access"] | None = None
    task: Literal["local", "draw"] | None = None
    parameters: NonNegativeInt = 0
    payload_bytes: NonNegativeInt = 0
    encoded_bytes: NonNegativeInt = 0
    structure: Text | None = None
    samples: NonNegativeInt | None = None
    loss: float | None = None
    seconds: float | None = None
    reason: Text | None = None
    clients: list[Text] | None = None


_EVENTS = TypeAdapter(list[EdgeEvent])


def write_events(entries: Sequence[Entry]) -> str:
    """Write events as JSON, without what their sender's place tells anyway."""
    events = [{key: _cut(value) for key, value in entry.items() if key not in ("tier", "node")} for entry in entries]
    return _EVENTS.dump_json(_EVENTS.validate_python(events), exclude_unset=True).decode()


def _cut(value: object) -> object:
    return value[:LONGEST] if isinstance(value, str) else value


def read_events(text: str) -> list[Entry]:
    """Read what `write_events` wrote.

    Raises
    ------
    ValueError
        If an event is of an unknown kind, or has an entry of a wrong type.
    """
    try:
        return [event.model_dump(exclude_unset=True) for event in _EVENTS.validate_json(text)]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"events cannot be read: {where}: {first['msg']}") from None

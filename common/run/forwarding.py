"""The events of an edge's ledger that travel to the root, so that the root's ledger tells the whole run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fedphd.common.run.events import Accept, Aggregate, Event, Lost, Refuse, Register, Resend, Restart, Send

LONGEST = 2000  # characters of a text, as a reason; longer ones are cut
HOP = "access"  # the only one that an edge may tell of

# What an edge may tell; anything else is refused, since the root's reports are made of it.
TOLD_BY_EDGES: Mapping[str, type[Event]] = {
    one.name: one for one in (Register, Send, Resend, Accept, Refuse, Lost, Aggregate, Restart)
}

_LINES = TypeAdapter(list[dict[str, Any]])


def write_events(events: Sequence[Event]) -> str:
    """Write events as JSON."""
    lines = [{"time": one.time, "event": one.name, **_cut(one.facts)} for one in events]
    return _LINES.dump_json(lines).decode()


def read_events(text: str) -> list[Event]:
    """Read what `write_events` wrote.

    Raises
    ------
    ValueError
        If an event is of a kind that no edge tells, or has a fact that its model does not have, or of a wrong type.
    """
    try:
        lines = _LINES.validate_json(text)
    except ValidationError as error:
        raise _unreadable(error) from None
    return [_read(index, line) for index, line in enumerate(lines)]


def _read(index: int, line: dict[str, Any]) -> Event:
    name = line.pop("event", None)
    kind = TOLD_BY_EDGES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"events cannot be read: {index}.event: no edge tells of this")
    try:
        event = kind.read(line)
    except ValidationError as error:
        raise _unreadable(error, index) from None
    for key, flaw in _flaws(event):
        raise ValueError(f"events cannot be read: {index}.{key}: {flaw}")
    return event


def _flaws(event: Event) -> Iterator[tuple[str, str]]:
    """Name the facts that an edge may not tell so, each with the reason."""
    for key, value in event.facts.items():
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and len(text) > LONGEST for text in texts):
            yield key, f"longer than {LONGEST} characters"
        if key == "hop" and value not in (HOP, None):
            yield key, f"an edge tells of the hop {HOP} only"


def _cut(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value[:LONGEST] if isinstance(value, str) else value for key, value in facts.items()}


def _unreadable(error: ValidationError, *prefix: object) -> ValueError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in (*prefix, *first["loc"]))
    return ValueError(f"events cannot be read: {where}: {first['msg']}")

"""Messages that crossed a hop, counted by who sent and who received them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from fedphd.common.run.events import Accept, Resend, Send
from fedphd.common.run.figures import WAYS
from fedphd.common.run.ledger import Entry


class Crossing(NamedTuple):
    """Whose messages: the node that told of them, its peer, the hop, the way, and the errand if it was one."""

    node: str
    peer: str
    hop: str
    way: str
    task: str | None


@dataclass
class Count:
    """Messages, and their bytes as encoded."""

    messages: int = 0
    encoded_bytes: int = 0


@dataclass
class Crossings:
    """All messages with counts that a ledger tells of: also those of rounds that were not committed or repeated."""

    _counts: dict[Crossing, Count] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Count a message; what is no message, or a question without a model, does not count."""
        event = entry.event
        if not isinstance(event, Send | Resend | Accept) or event.hop is None:
            return
        way = WAYS[isinstance(event, Accept)]
        count = self._counts.setdefault(Crossing(entry.node, event.peer, event.hop, way, event.task), Count())
        count.messages += 1
        count.encoded_bytes += event.encoded_bytes

    def total(self, which: Callable[[Crossing], bool]) -> Count:
        """Add up those that are asked for."""
        counts = [count for crossing, count in self._counts.items() if which(crossing)]
        return Count(sum(one.messages for one in counts), sum(one.encoded_bytes for one in counts))

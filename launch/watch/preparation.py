"""What goes on before the first round where the root draws an auxiliary set from the clients' local models."""

from dataclasses import dataclass
from typing import NamedTuple

from fedphd.common.run.events import Draw, Pretrain

MODELS, IMAGES = "local models", "auxiliary images"


class Count(NamedTuple):
    """How far something is: done, of so many, and what is at hand."""

    done: int
    total: int
    info: str


@dataclass
class Preparation:
    """Local models that came, and images that were drawn from them.

    Attributes
    ----------
    models, images : Count or None
        How far they are; None before anything is known of them.
    """

    models: Count | None = None
    images: Count | None = None

    @property
    def bars(self) -> dict[str, Count]:
        """What bars are to show, by name."""
        known = {MODELS: self.models, IMAGES: self.images}
        return {name: count for name, count in known.items() if count is not None}

    @property
    def over(self) -> bool:
        """Whether the last image was drawn."""
        return self.images is not None and self.images.done == self.images.total

    def take(self, event: Pretrain | Draw) -> str | None:
        """Take in an event; return the line that it is worth: two for each client."""
        if isinstance(event, Pretrain):
            self.models = Count(event.done, event.total, f"waiting for {event.peer}")
            return f"waiting for the local model of {event.peer}, {event.done + 1} of {event.total}"
        self.images = Count(event.done, event.total, f"of {event.peer}")
        if self.models is not None:
            self.models = self.models._replace(info="")
        if event.left:
            return None
        if self.models is not None:
            self.models = self.models._replace(done=self.models.done + 1)
        return f"auxiliary images {event.done}/{event.total}, those of {event.peer} are drawn"

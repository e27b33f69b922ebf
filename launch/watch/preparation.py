"""What goes on before the first round where the root draws an auxiliary set from the clients' local models."""

from dataclasses import dataclass
from typing import NamedTuple

from fedphd.common.run.ledger import Entry

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

    def event(self, entry: Entry) -> str | None:
        """Take in a ``pretrain`` or ``draw`` event; return the line that it is worth: two for each client."""
        done, total, client = entry["done"], entry["total"], entry["peer"]
        if entry["event"] == "pretrain":
            self.models = Count(done, total, f"waiting for {client}")
            return f"waiting for the local model of {client}, {done + 1} of {total}"
        self.images = Count(done, total, f"of {client}")
        if self.models is not None:
            self.models = self.models._replace(info="")
        if entry["left"]:
            return None
        if self.models is not None:
            self.models = self.models._replace(done=self.models.done + 1)
        return f"auxiliary images {done}/{total}, those of {client} are drawn"

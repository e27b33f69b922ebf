"""How good a model is for a client's own images, as the client tells it: numbers only, no images and no features."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Self

from flwr.app import ConfigRecord, RecordDict

from fedphd.common.wire import records
from fedphd.common.wire.records import MessageError

NO_DISTANCES = "{}"
MOST_LOSS = 1e6  # of noise whose variance is 1: a mean over clients must not be one client's word


@dataclass(frozen=True)
class Distances:
    """How far generated images, and those that a client held out, are from its training images.

    Each list has a number for each image; `nearest`, `ratio` and `spacing` are of the generated images, in the order in
    which these came.

    Attributes
    ----------
    nearest, held_out_nearest : list[float]
        Distance to the nearest training image (`fedphd.common.data.nearness`).
    ratio, held_out_ratio : list[float]
        The same, over half the mean distance to the 50 nearest.
    spacing, held_out_spacing : list[float]
        Distance from that training image to the training image nearest to it.
    """

    nearest: list[float]
    ratio: list[float]
    spacing: list[float]
    held_out_nearest: list[float]
    held_out_ratio: list[float]
    held_out_spacing: list[float]

    @property
    def of_generated(self) -> tuple[list[float], ...]:
        """What is told of each generated image."""
        return self.nearest, self.ratio, self.spacing

    @property
    def of_held_out(self) -> tuple[list[float], ...]:
        """What is told of each image that was held out."""
        return self.held_out_nearest, self.held_out_ratio, self.held_out_spacing

    @classmethod
    def read(cls, record: ConfigRecord) -> Self | None:
        """Read and check; None where there are none. How many there must be, the receiver knows."""
        if records.text(record, "distances") == NO_DISTANCES:
            return None
        found = records.number_lists(record, "distances", *(one.name for one in fields(cls)))
        if any(number < 0 for numbers in found.values() for number in numbers):
            raise MessageError("distances must not be negative")
        return cls(**found)


@dataclass(frozen=True)
class Assessment:
    """What a client tells of a model.

    Attributes
    ----------
    client : str
        Who tells.
    images : int
        Held-out images that it measured; and as many training images, if it has them.
    loss, training_loss : list[float]
        Mean loss on them, by bins of diffusion times (`fedphd.common.training.time_bins`); empty without images.
    distances : Distances or None
        Of generated images, where they were asked for and an image is held out.
    """

    client: str
    images: int
    loss: list[float]
    training_loss: list[float]
    distances: Distances | None = None

    @property
    def sender(self) -> str:
        """Who tells."""
        return self.client

    def write(self) -> RecordDict:
        """Lay out for the wire; lists as JSON, since Flower cannot count the bytes of empty ones."""
        told = {
            "client": self.client,
            "images": self.images,
            "losses": json.dumps({"loss": self.loss, "training_loss": self.training_loss}),
            "distances": NO_DISTANCES if self.distances is None else json.dumps(asdict(self.distances)),
        }
        return RecordDict({"assessment": ConfigRecord(told)})

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, "assessment")
        record = records.config(content, "assessment", "client images losses distances")
        losses = records.number_lists(record, "losses", "loss", "training_loss")
        if not all(0 <= loss <= MOST_LOSS for numbers in losses.values() for loss in numbers):
            raise MessageError(f"losses must be from 0 to {MOST_LOSS:,.0f}")
        client, images = records.text(record, "client"), records.count(record, "images")
        return cls(client, images, losses["loss"], losses["training_loss"], Distances.read(record))

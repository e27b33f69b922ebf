"""How good a model is for a client's own images, as the client tells it: numbers only, no images and no features."""

from dataclasses import asdict, dataclass, fields
from typing import Self

from flwr.app import ConfigRecord, RecordDict

from fedphd.common.wire import records
from fedphd.common.wire.records import MessageError

ASSESSMENT, DISTANCES = "assessment", "distances"


@dataclass(frozen=True)
class Distances:
    """How far generated images, and those that a client held out, are from its training images.

    Each list has a number for each image; `nearest`, `ratio` and `spacing` are of the generated images, in the order in
    which these came.

    Attributes
    ----------
    nearest, held_out_nearest : list[float]
        Distance to the nearest training image (`fedphd.common.nearness`).
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
    def read(cls, content: RecordDict) -> Self | None:
        """Read and check; None where there are none. How many there must be, the receiver knows."""
        if DISTANCES not in content:
            return None
        names = [one.name for one in fields(cls)]
        record = records.config(content, DISTANCES, " ".join(names))
        found = {name: records.numbers(record, name) for name in names}
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
        Of generated images, where they were asked for.
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
        """Lay out for the wire."""
        own = {"client": self.client, "images": self.images, "loss": self.loss, "training-loss": self.training_loss}
        content = RecordDict({ASSESSMENT: ConfigRecord(own)})
        if self.distances is not None:
            content[DISTANCES] = ConfigRecord(asdict(self.distances))
        return content

    @classmethod
    def read(cls, content: RecordDict) -> Self:
        """Read and check."""
        records.only(content, ASSESSMENT, DISTANCES)
        record = records.config(content, ASSESSMENT, "client images loss training-loss")
        return cls(
            records.text(record, "client"),
            records.count(record, "images"),
            records.numbers(record, "loss"),
            records.numbers(record, "training-loss"),
            Distances.read(content),
        )

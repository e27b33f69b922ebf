"""Images that a client drew, as they travel."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedphd.common.wire import records
from fedphd.common.wire.messages.pixels import PIXELS, read_pixels, write_pixels


@dataclass(frozen=True)
class Drawing:
    """Images that a client's model drew.

    Attributes
    ----------
    client : str
        Who drew.
    images : NDArray[uint8]
        Shape (n, C, H, W).
    trained : bool
        Whether its model drew as it last trained it, and not with what it shares as it came.
    """

    client: str
    images: NDArray[np.uint8]
    trained: bool

    @property
    def sender(self) -> str:
        """Who drew."""
        return self.client

    def write(self) -> RecordDict:
        """Lay out for the wire."""
        drawing = ConfigRecord({"client": self.client, "trained": self.trained})
        return RecordDict({**write_pixels(self.images), "drawing": drawing})

    @classmethod
    def read(cls, content: RecordDict, shape: tuple[int, ...]) -> Self:
        """Read and check; the images must have the shape (n, C, H, W) that was asked for."""
        records.only(content, PIXELS, "drawing")
        record = records.config(content, "drawing", "client trained")
        images = read_pixels(content, shape)
        return cls(records.text(record, "client"), images, records.flag(record, "trained"))

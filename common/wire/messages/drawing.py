"""Images that a client drew, as they travel."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from numpy.typing import NDArray

from fedphd.common.wire import records
from fedphd.common.wire.records import MessageError

PIXELS, PIXEL_TYPE = "pixels", "fedphd.pixels"


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
        pixels = Array("uint8", self.images.shape, PIXEL_TYPE, np.ascontiguousarray(self.images).tobytes())
        drawing = ConfigRecord({"client": self.client, "trained": self.trained})
        return RecordDict({PIXELS: ArrayRecord({PIXELS: pixels}), "drawing": drawing})

    @classmethod
    def read(cls, content: RecordDict, shape: tuple[int, ...]) -> Self:
        """Read and check; the images must have the shape (n, C, H, W) that was asked for."""
        records.only(content, PIXELS, "drawing")
        record = records.config(content, "drawing", "client trained")
        arrays = content.get(PIXELS)
        if not isinstance(arrays, ArrayRecord) or list(arrays) != [PIXELS]:
            raise MessageError(f"no images: an ArrayRecord '{PIXELS}' with one array '{PIXELS}' is needed")
        array = arrays[PIXELS]
        if array.stype != PIXEL_TYPE or tuple(array.shape) != shape or len(array.data) != int(np.prod(shape)):
            raise MessageError(f"the images must be uint8 of shape {shape}")
        images = np.frombuffer(array.data, np.uint8).reshape(shape).copy()
        return cls(records.text(record, "client"), images, records.flag(record, "trained"))

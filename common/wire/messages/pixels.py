"""Images in messages, as bytes."""

from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from numpy.typing import NDArray

from fedphd.common.wire.records import MessageError

PIXELS, PIXEL_TYPE = "pixels", "fedphd.pixels"


def write_pixels(images: NDArray[np.uint8]) -> dict[str, ArrayRecord]:
    """Lay out images of shape (n, C, H, W) for the wire."""
    pixels = Array("uint8", images.shape, PIXEL_TYPE, np.ascontiguousarray(images).tobytes())
    return {PIXELS: ArrayRecord({PIXELS: pixels})}


def read_pixels(content: RecordDict, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Read images, which are the reader's own.

    Parameters
    ----------
    content : RecordDict
        The message.
    shape : tuple[int, ...], optional
        The shape (n, C, H, W) that they must have; by default they may have any.

    Raises
    ------
    MessageError
        If there are no images, or others than these.
    """
    arrays = content.get(PIXELS)
    if not isinstance(arrays, ArrayRecord) or list(arrays) != [PIXELS]:
        raise MessageError(f"no images: an ArrayRecord '{PIXELS}' with one array '{PIXELS}' is needed")
    array = arrays[PIXELS]
    found = cast(tuple[int, ...], tuple(array.shape))
    wanted = found if shape is None else shape
    sound = len(wanted) == 4 and min(wanted) >= 0 and len(array.data) == int(np.prod(wanted, dtype=object))
    if array.stype != PIXEL_TYPE or found != wanted or not sound:
        raise MessageError(f"the images must be uint8 of shape {'(n, C, H, W)' if shape is None else shape}")
    return np.frombuffer(array.data, np.uint8).reshape(wanted).copy()

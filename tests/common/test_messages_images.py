"""Images in messages: as many as were asked for, of the right shape, and bytes only."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from sound_messages import IMAGES, raw, refused, with_array, written

from fedphd.common.wire.messages import Drawing
from fedphd.common.wire.records import MessageError


@pytest.mark.parametrize(
    "array",
    [
        Array(IMAGES),  # Flower's serialisation
        raw(IMAGES.tobytes(), "numpy.ndarray", "uint8", IMAGES.shape),
        raw(IMAGES.tobytes(), "fedphd.pixels", "uint8", (2, 1, 4, 3)),
        raw(IMAGES.tobytes(), "fedphd.pixels", "uint8", (24,)),
        raw(IMAGES.tobytes()[:-1], "fedphd.pixels", "uint8", IMAGES.shape),
        raw(IMAGES.tobytes() + b"x", "fedphd.pixels", "uint8", IMAGES.shape),
    ],
)
def test_images_of_another_kind_or_number_are_refused(array: Array) -> None:
    content = with_array("drawing", array, "pixels", "pixels")
    assert "the images must be uint8 of shape (2, 1, 3, 4)" in refused("drawing", content)


def test_images_must_be_there() -> None:
    for arrays in ({}, {"weights": Array(IMAGES)}):
        content = written("drawing")
        content["pixels"] = ArrayRecord(arrays)
        assert "no images: an ArrayRecord 'pixels'" in refused("drawing", content)


def test_images_in_any_memory_order_arrive_and_are_the_readers_own() -> None:
    turned = np.asfortranarray(IMAGES)
    back = Drawing.read(Drawing("client-0", turned, False).write(), IMAGES.shape)
    np.testing.assert_array_equal(back.images, IMAGES)
    back.images[0] = 0  # not a view of the message's bytes
    with pytest.raises(MessageError):
        Drawing.read(Drawing("client-0", turned, False).write(), (1, *IMAGES.shape[1:]))

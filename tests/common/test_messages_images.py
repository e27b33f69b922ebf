"""Images in messages: as many as were asked for, of the right shape, and bytes only."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from sound_messages import IMAGES, SOUND, raw, read, refused, with_array, written

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


COMPARING = ["comparing errand", "client's comparing errand"]


@pytest.mark.parametrize("kind", COMPARING)
def test_generated_images_arrive_as_they_were_sent(kind: str) -> None:
    np.testing.assert_array_equal(read(kind, written(kind)).generated, IMAGES)  # type: ignore[attr-defined]
    without = replace(SOUND[kind], generated=None)  # type: ignore[type-var]
    assert read(kind, without.write()).generated is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", COMPARING)
@pytest.mark.parametrize(
    "array",
    [
        Array(IMAGES),
        raw(IMAGES.tobytes(), "fedphd.pixels", "uint8", (24,)),
        raw(IMAGES.tobytes()[:-1], "fedphd.pixels", "uint8", IMAGES.shape),
        raw(IMAGES.tobytes(), "fedphd.pixels", "uint8", (2, 2**40, 2**40, 1)),
        raw(IMAGES.tobytes(), "fedphd.pixels", "uint8", (-2, -1, 3, 4)),
    ],
)
def test_generated_images_of_another_kind_are_refused(kind: str, array: Array) -> None:
    content = with_array(kind, array, "pixels", "pixels")
    assert "the images must be uint8 of shape (n, C, H, W)" in refused(kind, content)


@pytest.mark.parametrize("kind", COMPARING)
def test_another_number_of_generated_images_is_refused(kind: str) -> None:
    fewer = replace(SOUND[kind], generated=IMAGES[:1]).write()  # type: ignore[type-var]
    assert "1 generated images instead of 2" in refused(kind, fewer)

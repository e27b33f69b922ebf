"""Images that are trained on in batches."""

import torch

from fedphd.common.data.training_set import TrainingSet

IMAGES = torch.arange(5 * 12, dtype=torch.uint8).reshape(5, 3, 2, 2)
SOME = torch.tensor([3, 0, 3])


def test_pixels_are_scaled_and_latents_are_not() -> None:
    scaled = TrainingSet(IMAGES).batch(SOME, flip=False)
    torch.testing.assert_close(scaled, IMAGES[SOME].float() / 127.5 - 1, rtol=0, atol=0)
    latents = IMAGES.float()
    assert torch.equal(TrainingSet(latents).batch(SOME, flip=False), latents[SOME])


def test_batches_can_be_given_on_another_device_than_the_images() -> None:
    """As where images would fill a GPU; here on the device that holds no numbers."""
    images = TrainingSet(IMAGES, IMAGES.flip(-1), torch.device("meta"))
    assert images.device.type == "meta"
    assert images.images.device.type == "cpu"
    here = TrainingSet(IMAGES)
    assert here.device.type == "cpu"
    assert here.to(torch.device("meta")).images.device.type == "meta"

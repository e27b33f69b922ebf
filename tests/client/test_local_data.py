import numpy as np
from helpers import small_config

from fedphd.client.local_data import local_data


def test_a_client_has_its_part_of_the_partition() -> None:
    config = small_config()
    parts = [local_data(config, index) for index in range(4)]
    assert sum(len(part.images) for part in parts) == 1500  # all training digits, each once
    for part in parts:
        assert part.images.dtype == np.uint8
        assert part.images.shape[1:] == (1, 8, 8)
        assert part.counts.sum() == len(part.images)
        assert len(part.classes) == 10
    np.testing.assert_array_equal(local_data(config, 2).images, parts[2].images)


def test_a_client_holds_out_images_of_its_own() -> None:
    """They are of its part, it does not train on them, and they do not count."""
    whole, config = small_config(), small_config("partition.holdout=0.2")
    for index in range(2):
        part, everything = local_data(config, index), local_data(whole, index)
        assert len(part.held_out.pixels) == 75  # of 375
        assert len(everything.held_out.pixels) == 0
        assert part.counts.sum() == len(part.images) == 300
        together = sorted(image.tobytes() for image in (*part.images, *part.held_out.pixels))
        assert together == sorted(image.tobytes() for image in everything.images)

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

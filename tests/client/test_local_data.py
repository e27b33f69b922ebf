import numpy as np
import pytest
from helpers import small_config

from client.local_data import local_data, reported_counts


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


def test_counts_are_told_as_they_are() -> None:
    config = small_config("partition=pathological", "topology.clients=5")
    counts = reported_counts(config, 1)
    assert counts == local_data(config, 1).counts.tolist()
    assert sum(count > 0 for count in counts) == 2
    assert all(type(count) is float for count in counts)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_noise_hides_the_counts(epsilon: float) -> None:
    config = small_config(f"privacy.histogram_epsilon={epsilon}", "partition=pathological", "topology.clients=5")
    exact = local_data(config, 0).counts
    told = np.array(reported_counts(config, 0))
    assert (told >= 0).all()
    assert (told != exact)[exact > 0].all()
    # Laplace noise of scale 1/epsilon has a mean absolute value of 1/epsilon; cutting makes it smaller.
    assert 0 < np.abs(told - exact).mean() < 5 / epsilon


def test_clients_draw_noise_of_their_own() -> None:
    config = small_config("privacy.histogram_epsilon=1.0")
    noise = [np.array(reported_counts(config, i)) - local_data(config, i).counts for i in range(2)]
    assert (noise[0] != noise[1]).all()

from pathlib import Path

import numpy as np
import pytest
from helpers import small_config

from fedphd.client.histogram import reported_counts
from fedphd.client.local_data import local_data
from fedphd.common.averaging.homogeneity import told_samples


def test_counts_are_told_as_they_are(tmp_path: Path) -> None:
    config = small_config("partition=pathological", "topology.clients=5")
    counts = reported_counts(config, 1, tmp_path)
    assert counts == local_data(config, 1).counts.tolist()
    assert sum(count > 0 for count in counts) == 2
    assert told_samples(counts) == len(local_data(config, 1).images)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_noise_hides_counts_and_their_total(epsilon: float, tmp_path: Path) -> None:
    config = small_config(f"privacy.histogram_epsilon={epsilon}", "partition=pathological", "topology.clients=5")
    exact = local_data(config, 0).counts
    told = np.array(reported_counts(config, 0, tmp_path))
    assert (told >= 0).all()
    assert (told != exact)[exact > 0].all()
    # Laplace noise of scale 1/epsilon has a mean absolute value of 1/epsilon; cutting makes it smaller.
    # The mean of 10 exceeds 5/epsilon once in some 10^12 draws.
    assert 0 < np.abs(told - exact).mean() < 5 / epsilon
    assert told_samples(told.tolist()) == max(1, round(told.sum()))


def test_noise_is_drawn_once_and_does_not_follow_from_the_seed(tmp_path: Path) -> None:
    config = small_config("privacy.histogram_epsilon=1.0")
    first = reported_counts(config, 0, tmp_path / "a")
    assert reported_counts(config, 0, tmp_path / "a") == first
    assert reported_counts(config, 0, tmp_path / "b") != first


def test_a_client_without_counts_still_counts_as_one_image() -> None:
    assert told_samples([0.0, 0.3]) == 1

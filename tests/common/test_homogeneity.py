from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.averaging.homogeneity import LabelState, distribution, homogeneity, images_in, uniform
from fedphd.common.averaging.weighting import HomogeneityWeighting, SamplesWeighting


def shares(held: int, classes: int) -> list[float]:
    """Equal shares of the first `held` of `classes` classes."""
    return [1 / held] * held + [0.0] * (classes - held)


# By hand: the distance is sqrt(held * (1/held - 1/classes)^2 + (classes - held) / classes^2).
@pytest.mark.parametrize(
    ("held", "classes", "score"),
    [
        (2, 10, 1.367544),  # 2 * 0.4^2 + 8 * 0.1^2 = 0.40, root 0.632456
        (4, 10, 1.612702),  # 4 * 0.15^2 + 6 * 0.1^2 = 0.15, root 0.387298
        (1, 4, 1.133975),  # 0.75^2 + 3 * 0.25^2 = 0.75, root 0.866025
        (2, 4, 1.5),  # 4 * 0.25^2 = 0.25, root 0.5
        (10, 10, 2.0),
        (1, 1, 2.0),
    ],
)
def test_scores_of_the_authors_data_splits(held: int, classes: int, score: float) -> None:
    assert homogeneity(shares(held, classes)) == pytest.approx(score, abs=1e-6)


def test_the_target_need_not_be_uniform() -> None:
    assert homogeneity([0.2, 0.8], [0.2, 0.8]) == 2.0
    assert homogeneity([1.0, 0.0], [0.0, 1.0]) == pytest.approx(2 - sqrt(2))


def test_counts_become_fractions_and_none_the_target() -> None:
    np.testing.assert_array_equal(distribution([1, 3, 0, 4]), [0.125, 0.375, 0.0, 0.5])
    np.testing.assert_array_equal(distribution([0, 0, 0, 0]), [0.25, 0.25, 0.25, 0.25])


def test_adding_a_client_merges_by_images() -> None:
    # (100 * (1, 0) + 300 * (0, 1)) / 400 = (0.25, 0.75)
    state = LabelState(np.array([1.0, 0.0]), 100).add(np.array([0.0, 1.0]), 300)
    np.testing.assert_array_equal(state.q, [0.25, 0.75])
    assert state.n == 400
    # ... at which SH = 2 - sqrt(2 * 0.25^2) = 2 - 0.353553
    assert homogeneity(state.q) == pytest.approx(1.646447, abs=1e-6)


def test_the_first_client_replaces_the_uniform_start() -> None:
    start = LabelState.initial(4)
    assert (start.q.tolist(), start.n, homogeneity(start.q)) == ([0.25] * 4, 0.0, 2.0)
    np.testing.assert_array_equal(start.add(np.array(shares(2, 4)), 50).q, [0.5, 0.5, 0, 0])


def test_a_client_without_images_changes_nothing() -> None:
    start = LabelState.initial(2)
    assert start.add(np.array([1.0, 0.0]), 0) is start


@given(st.lists(st.lists(st.integers(0, 1000), min_size=3, max_size=3), min_size=1, max_size=6))
def test_merging_clients_is_counting_their_images_together(clients: list[list[int]]) -> None:
    state = LabelState.initial(3)
    for counts in clients:
        state = state.add(distribution(counts), sum(counts))
    np.testing.assert_allclose(state.q, distribution(np.sum(clients, axis=0)), atol=1e-12)
    assert state.n == np.sum(clients)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_scores_lie_between_half_and_two(counts: list[int]) -> None:
    # The farthest distribution is one class of many, at a distance below 1.
    assert 1.0 < homogeneity(distribution(counts)) <= 2.0


def test_member_weights() -> None:
    half = np.array(shares(2, 4))  # SH = 1.5
    assert SamplesWeighting(kind="samples").weight(300, half, 50.0) == 300.0
    by_score = {"kind": "homogeneity", "a": 200.0, "unit": "image"}
    assert HomogeneityWeighting(**by_score, b=0.0).weight(300, half, 50.0) == 600.0  # 300 + 200 * 1.5
    assert HomogeneityWeighting(**by_score, b=0.0).weight(100, uniform(4), 50.0) == 500.0  # 100 + 200 * 2
    assert HomogeneityWeighting(**by_score, b=-550.0).weight(300, half, 50.0) == 50.0
    assert HomogeneityWeighting(**by_score, b=-550.0).weight(100, uniform(4), 50.0) == 0.0  # ReLU(-50)


def test_member_weights_in_mean_clients() -> None:
    """... are those in images with n_bar times a and b, and the default."""
    half = np.array(shares(2, 4))  # SH = 1.5
    by_score = HomogeneityWeighting(kind="homogeneity", a=4.0, b=-11.0)
    assert by_score.weight(300, half, 50.0) == 50.0  # 300 + 50 * (4 * 1.5 - 11)
    assert by_score.weight(100, uniform(4), 50.0) == 0.0  # ReLU(100 + 50 * (4 * 2 - 11))
    assert (images_in("client", 50.0), images_in("image", 50.0)) == (50.0, 1.0)

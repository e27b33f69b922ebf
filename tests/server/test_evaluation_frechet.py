import cleanfid.fid
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.server.evaluation.frechet import Gaussian, fit_gaussian, frechet_distance


def gaussian(mean, covariance):
    return Gaussian(np.array(mean, float), np.array(covariance, float))


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        # One dimension: (mu_a - mu_b)^2 + (sigma_a - sigma_b)^2 = 3^2 + (1 - 2)^2.
        (gaussian([0], [[1]]), gaussian([3], [[4]]), 10),
        # Independent dimensions add up: 1 + 4 from the means, (2 - 1)^2 + (3 - 1)^2 from the spreads.
        (gaussian([0, 0], [[4, 0], [0, 9]]), gaussian([1, 2], [[1, 0], [0, 1]]), 10),
        # Covariances that do not commute. For 2x2, tr(M^1/2) = sqrt(tr M + 2 sqrt(det M)); here
        # C_a C_b = [[2, 4], [1, 8]], so tr = 10, det = 12, and d^2 = 4 + 5 - 2 sqrt(10 + 2 sqrt(12)).
        (gaussian([0, 0], [[2, 1], [1, 2]]), gaussian([0, 0], [[1, 0], [0, 4]]), 9 - 2 * np.sqrt(10 + 2 * np.sqrt(12))),
        # A singular covariance: all mass on one line. tr(C_a) + tr(C_b) - 2 sqrt(1 * 4) = 1 + 5 - 4.
        (gaussian([0, 0], [[1, 0], [0, 0]]), gaussian([0, 0], [[4, 0], [0, 1]]), 2),
    ],
)
def test_distance_by_hand(a, b, distance):
    assert frechet_distance(a, b) == pytest.approx(distance, rel=1e-12)
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-12)


def test_fit_by_hand():
    # Deviations from the mean (1, 2) are -+(1, 2); the unbiased covariance divides by n - 1 = 1.
    fitted = fit_gaussian(np.array([[0.0, 0.0], [2.0, 4.0]]))
    np.testing.assert_array_equal(fitted.mean, [1, 2])
    np.testing.assert_array_equal(fitted.covariance, [[2, 4], [4, 8]])


def test_fit_of_one_feature_keeps_a_matrix():
    assert fit_gaussian(np.array([[1.0], [3.0]])).covariance.tolist() == [[2.0]]


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (5,)])
def test_fit_needs_two_rows(shape):
    with pytest.raises(ValueError, match="at least 2"):
        fit_gaussian(np.zeros(shape))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(2, 12))
def test_agrees_with_clean_fid(seed, d):
    rng = np.random.default_rng(seed)
    a, b = (fit_gaussian(rng.normal(rng.normal(), 1, (60, d)) @ rng.normal(size=(d, d))) for _ in range(2))
    theirs = cleanfid.fid.frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    assert 0 <= frechet_distance(a, a) < 1e-9 * (1 + np.trace(a.covariance))

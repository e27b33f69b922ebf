"""Kernel distance, precision and recall on small clouds, against formulas by hand and clean-fid; one's own measures."""

from pathlib import Path

import cleanfid.fid
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.common.errors import SettingError
from fedphd.server.evaluation.measures import Clouds, check_counts, fewest, find_measures, take
from fedphd.server.evaluation.measures.kernel import kernel_distance, squared_mmd
from fedphd.server.evaluation.measures.neighbours import BLOCK, precision_recall, share_within

RNG = np.random.default_rng(0)


def test_squared_mmd_by_hand() -> None:
    """With d = 1, k(x, y) = (xy + 1)^3.

    x = 0, 1: k(0, 1) = 1, so the mean over pairs is 1; y = 1, 2: k(1, 2) = 27; between: 1, 1, 8, 27, mean 9.25.
    """
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert squared_mmd(x, y) == pytest.approx(1 + 27 - 2 * 9.25)


def test_squared_mmd_is_the_double_sum() -> None:
    x, y = RNG.normal(size=(7, 3)), RNG.normal(0.5, 1, (5, 3))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    within = [
        sum(kernel(a, b) for i, a in enumerate(side) for j, b in enumerate(side) if i != j)
        / (len(side) * (len(side) - 1))
        for side in (x, y)
    ]
    between = sum(kernel(a, b) for a in x for b in y) / 35
    assert squared_mmd(x, y) == pytest.approx(sum(within) - 2 * between, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 12))
def test_squared_mmd_is_clean_fids(seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(40, d)), rng.normal(rng.normal(), 1, (40, d))
    assert squared_mmd(x, y) == pytest.approx(cleanfid.fid.kernel_distance(x, y, num_subsets=1), rel=1e-9, abs=1e-9)


def test_kernel_distance_is_a_mean_over_subsets_by_the_seed() -> None:
    real, generated = RNG.normal(size=(1_200, 2)), RNG.normal(0.3, 1, (1_500, 2))
    clouds = [Clouds(real, generated, "classifier", seed) for seed in (0, 0, 1)]
    first, again, other = (kernel_distance(one)["kd_classifier"] for one in clouds)
    assert first == again != other
    assert first == pytest.approx(squared_mmd(real, generated), rel=0.05)
    assert list(kernel_distance(Clouds(real[:9], generated, "inception", 0))) == ["kid"]


def test_kernel_distance_has_no_bias() -> None:
    """Of two samples of one distribution it is zero on average, however few they are."""
    found = [
        kernel_distance(Clouds(RNG.normal(size=(20, 4)), RNG.normal(size=(20, 4)), "x", 0))["kd_x"] for _ in range(60)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(60)
    assert min(found) < 0


def cluster(at: float, count: int = 50) -> np.ndarray:
    return RNG.normal(at, 1, (count, 3))


@pytest.mark.parametrize(
    ("real", "generated", "precision", "recall"),
    [
        (cloud := cluster(0), cloud, 1, 1),
        (cluster(0), cluster(1000), 0, 0),
        (np.concatenate([left := cluster(0), cluster(1000)]), np.concatenate([left, left + 1e-3]), 1, 0.5),
        (np.concatenate([left, left + 1e-3]), np.concatenate([left, cluster(1000)]), 0.5, 1),
    ],
    ids=["the same", "apart", "a mode is lost", "a mode is made up"],
)
def test_precision_and_recall_of_clouds(
    real: np.ndarray, generated: np.ndarray, precision: float, recall: float
) -> None:
    expected = {"precision_classifier": precision, "recall_classifier": recall}
    assert precision_recall(Clouds(real, generated, "classifier", 0)) == expected


def test_manifold_by_hand() -> None:
    """Points 0, 1, 3, 7 on a line reach to their first neighbours: radii 1, 1, 2, 4."""
    cloud = np.array([[0.0], [1.0], [3.0], [7.0]])
    points = np.array([[-0.9], [-1.1], [2.5], [4.9], [10.9], [11.1]])
    assert share_within(points, cloud, k=1) == pytest.approx(4 / 6)


def test_blocks_change_nothing() -> None:
    points, cloud = RNG.normal(size=(BLOCK + 200, 2)), RNG.normal(size=(BLOCK + 100, 2))
    distances = np.linalg.norm(cloud[:, None] - cloud, axis=2)
    radii = np.sort(distances, axis=1)[:, 3]
    inside = (np.linalg.norm(points[:, None] - cloud, axis=2) <= radii).any(1)
    assert share_within(points, cloud) == inside.mean()


def test_both_sides_have_as_many() -> None:
    """Of many real images, few generated ones could not reach more than a part; as many are drawn."""
    cloud = cluster(0, 400)
    found = precision_recall(Clouds(cloud, cluster(0, 40), "x", 0))
    assert found["recall_x"] > 0.6
    assert found["recall_x"] * 40 == pytest.approx(round(found["recall_x"] * 40))


OWN = """
def spread(clouds):
    return {f"spread_{clouds.over}": clouds.generated.std() / clouds.real.std()}

spread.fewest = 9

def again(clouds):
    return {"spread_x": 1.0}

def main(clouds):
    return {"fd_mine": 1.0}

def nothing(clouds):
    return {"ratio": float("nan")}

def bare(clouds):
    return 1.0
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_measures.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_measures"


def test_a_measure_of_the_users_own(own: str) -> None:
    clouds = Clouds(cluster(0), 2 * cluster(0), "x", 0)
    found = take(find_measures(["precision_recall", f"{own}:spread"]), clouds)
    assert list(found) == ["precision_x", "recall_x", "spread_x"]
    assert found["spread_x"] == pytest.approx(clouds.generated.std() / clouds.real.std())


@pytest.mark.parametrize(
    ("function", "advice"),
    [
        ("again", "returned spread_x, another measure's name"),
        ("main", "returned fd_mine, another measure's name"),
        ("nothing", "returned ratio=nan; must return finite numbers"),
        ("bare", "must return numbers by their names, not float"),
    ],
)
def test_what_a_measure_must_return(own: str, function: str, advice: str) -> None:
    with pytest.raises(SettingError, match=rf"^evaluation\.measures={own}:{function}: {advice}"):
        take(find_measures([f"{own}:spread", f"{own}:{function}"]), Clouds(cluster(0), cluster(0), "x", 0))


def test_images_enough_for_each_measure(own: str) -> None:
    """A function of the user's own may say how many it needs."""
    found = find_measures(["kid", "precision_recall", f"{own}:spread", f"{own}:again"])
    assert [one.fewest for one in found.values()] == [2, 4, 9, 2]
    assert (fewest(found), fewest({})) == (9, 2)
    check_counts(found, {"evaluation.images": 9})
    with pytest.raises(
        SettingError, match=rf"^evaluation\.images=8: too few for evaluation.measures={own}:spread; .* 9$"
    ):
        check_counts(found, {"evaluation.images": 8})


def test_an_unknown_measure_is_told_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"^evaluation\.measures=precision_recal: .*did you mean precision_recall"):
        find_measures(["precision_recal"])

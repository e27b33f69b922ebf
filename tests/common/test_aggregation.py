import tempfile
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedphd.common.averaging.aggregation import OrderedAverage, WeightError
from fedphd.common.network.packing import Vector

KEYS = ["a", "b", "c", "d", "e", "f", "g"]


def vector(*numbers: float) -> Vector:
    return np.array(numbers, np.float32)


def average(members: dict[str, tuple[Vector, float]], arrival: list[str], order: list[str] = KEYS) -> Vector:
    with tempfile.TemporaryDirectory() as folder, OrderedAverage(order, Path(folder)) as mean:
        for key in arrival:
            mean.add(key, *members[key])
        return mean.result()


def test_weighted_mean_by_hand(tmp_path: Path) -> None:
    with OrderedAverage(["a", "b"], tmp_path) as mean:
        mean.add("a", vector(1, 10), 1)
        mean.add("b", vector(5, -10), 3)
        result = mean.result()
    np.testing.assert_array_equal(result, vector(4, -5))  # (1 + 15) / 4, (10 - 30) / 4
    assert result.dtype == np.float32
    assert mean.total_weight == 4


@settings(deadline=None)
@given(st.data(), st.permutations(KEYS))
def test_any_order_of_arrival_gives_the_same_bits(data: st.DataObject, arrival: list[str]) -> None:
    numbers = st.floats(-1e6, 1e6, width=32)
    weights = st.floats(1e-3, 1e6)
    members = {key: (data.draw(arrays(np.float32, 3, elements=numbers)), data.draw(weights)) for key in KEYS}
    came = arrival[: data.draw(st.integers(1, len(KEYS)))]  # some members may be missing
    in_order = [key for key in KEYS if key in came]
    assert average(members, came).tobytes() == average(members, in_order).tobytes()


def test_the_fixed_order_matters() -> None:
    """The property above is not empty: float64 sums do depend on their order."""
    members = {"a": (vector(1.0), 1.0), "b": (vector(1e17), 1.0), "c": (vector(-1e17), 1.0)}
    assert average(members, list("abc"), list("abc"))[0] == 0.0  # the one drowns in 1e17
    assert average(members, list("abc"), list("bca"))[0] == np.float32(1 / 3)


@settings(deadline=None)
@given(
    arrays(np.float32, 5, elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    st.lists(st.integers(1, 10**6), min_size=1, max_size=len(KEYS)),
)
def test_identical_members_average_to_themselves(same: Vector, weights: list[int]) -> None:
    members = {key: (same, float(weight)) for key, weight in zip(KEYS, weights, strict=False)}
    assert average(members, list(members)).tobytes() == same.tobytes()


def test_early_members_wait_on_disk_and_leave_it(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with OrderedAverage(["a", "b", "c", "d"], spool) as mean:
        assert not spool.exists()
        mean.add("c", vector(3), 1)
        mean.add("b", vector(2), 1)
        assert len(list(spool.iterdir())) == 2
        mean.add("a", vector(1), 1)  # its turn, and then that of b and c
        assert list(spool.iterdir()) == []
        mean.add("d", vector(6), 1)
        assert list(spool.iterdir()) == []
        assert mean.result() == vector(3)


def test_members_behind_a_missing_one_still_count(tmp_path: Path) -> None:
    with OrderedAverage(["a", "b", "c"], tmp_path) as mean:
        mean.add("c", vector(5), 1)
        mean.add("b", vector(3), 1)
        assert mean.result() == vector(4)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    size = 2**18  # 1 MiB of float32
    keys = [str(i) for i in range(24)]
    tracemalloc.start()
    with OrderedAverage(keys, tmp_path) as mean:
        for key in reversed(keys):  # all but the last to come must wait
            mean.add(key, np.full(size, int(key), np.float32), 1)
        assert mean.result()[0] == 11.5
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The sum and one product in float64 and one member in float32: 2 + 2 + 1 MiB, and the result's copies.
    assert peak < 8 * 2**20


@pytest.mark.parametrize("arrival", [["a"], ["b"], ["b", "a"]])
def test_a_member_counts_once(tmp_path: Path, arrival: list[str]) -> None:
    with OrderedAverage(["a", "b", "c"], tmp_path) as mean:
        for key in arrival:
            mean.add(key, vector(1), 1)
        with pytest.raises(KeyError, match=arrival[0]):
            mean.add(arrival[0], vector(100), 1)
        assert mean.result() == vector(1)


def test_foreign_members_and_late_ones_are_refused(tmp_path: Path) -> None:
    with OrderedAverage(["a", "b"], tmp_path) as mean:
        mean.add("a", vector(1), 1)
        with pytest.raises(KeyError, match="stranger"):
            mean.add("stranger", vector(1), 1)
        mean.result()
        with pytest.raises(KeyError, match="'b'"):
            mean.add("b", vector(1), 1)


def test_a_key_must_not_be_awaited_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        OrderedAverage(["a", "b", "a"], tmp_path)


def test_nothing_to_average(tmp_path: Path) -> None:
    with OrderedAverage(["a", "b"], tmp_path) as mean, pytest.raises(WeightError, match="nothing to average"):
        mean.result()
    with OrderedAverage(["a", "b"], tmp_path) as mean:
        mean.add("a", vector(1), 0)
        mean.add("b", vector(1), 0)
        with pytest.raises(WeightError, match=r"weighting\.\*\.b"):
            mean.result()


def test_members_without_weight_do_not_count(tmp_path: Path) -> None:
    with OrderedAverage(["a", "b"], tmp_path) as mean:
        mean.add("a", vector(100), 0)
        mean.add("b", vector(2), 5)
        assert mean.result() == vector(2)


def test_nothing_stays_on_disk_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="quorum"), OrderedAverage(["a", "b"], tmp_path) as mean:
        mean.add("b", vector(1), 1)
        assert len(list(tmp_path.iterdir())) == 1
        raise RuntimeError("quorum")
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_a_killed_process_left_behind_does_no_harm(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", vector(1000))
    with OrderedAverage(["a", "b"], tmp_path) as mean:
        mean.add("b", vector(4), 1)
        mean.add("a", vector(2), 1)
        assert mean.result() == vector(3)


# --- sums -------------------------------------------------------------------------------------------


def test_a_sum_is_not_divided(tmp_path: Path) -> None:
    with OrderedAverage(["a", "b", "c"], tmp_path) as members:
        members.add("c", vector(5, 1), 2)  # before its turn, and b never comes
        members.add("a", vector(1, 10), 1)
        total = members.sum()
        assert total is not None
        np.testing.assert_array_equal(total, vector(11, 12))
        assert total.dtype == np.float32
        np.testing.assert_array_equal(members.result(), vector(11 / 3, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_sum_of_nobody_is_none_and_one_without_weight_is_zero(tmp_path: Path) -> None:
    with OrderedAverage(["a"], tmp_path) as members:
        assert members.sum() is None
    with OrderedAverage(["a"], tmp_path) as members:
        members.add("a", vector(3), 0)
        assert members.sum() == vector(0)


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=len(KEYS)), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_sum(numbers: list[int], shuffle: Random) -> None:
    members = dict(zip(KEYS, numbers, strict=False))
    arrival = list(members)
    shuffle.shuffle(arrival)
    with tempfile.TemporaryDirectory() as folder, OrderedAverage(KEYS, Path(folder)) as total:
        for key in arrival:
            total.add(key, vector(members[key]), 1)
        assert total.sum() == vector(sum(numbers))

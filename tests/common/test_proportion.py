"""Which classes images are asked of."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.data.proportion import in_proportion

counts = st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any)


def test_by_hand() -> None:
    assert in_proportion([1, 1, 1], 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert in_proportion([3, 0, 1], 8).tolist() == [0, 0, 2, 0, 0, 0, 2, 0]


def test_where_noise_left_no_image_classes_count_alike() -> None:
    assert in_proportion([0, 0, 0], 5).tolist() == [0, 1, 2, 0, 1]


@given(counts, st.integers(0, 60))
def test_each_class_gets_its_share_at_any_length(numbers: list[int], images: int) -> None:
    asked = np.bincount(in_proportion(numbers, images), minlength=len(numbers))
    share = images * np.array(numbers) / sum(numbers)
    assert (abs(asked - share) <= len(numbers) / 2 + 1e-9).all()
    assert (asked[np.array(numbers) == 0] == 0).all()
    whole = in_proportion(numbers, 3 * sum(numbers))
    assert (np.bincount(whole, minlength=len(numbers)) == 3 * np.array(numbers)).all()


@given(counts, st.integers(0, 30), st.integers(0, 30))
def test_a_place_has_its_class_whoever_asks(numbers: list[int], first: int, images: int) -> None:
    assert (in_proportion(numbers, images, first) == in_proportion(numbers, first + images)[first:]).all()

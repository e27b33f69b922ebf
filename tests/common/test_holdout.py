"""What clients hold out of their own images."""

import numpy as np
import pytest

from fedphd.common.config import compose
from fedphd.common.data.partitions import hold_out
from fedphd.common.errors import SettingError


@pytest.mark.parametrize(
    ("images", "share", "held_out"),
    [(10, 0.0, 0), (10, 0.2, 2), (10, 0.01, 1), (10, 0.999, 9), (2, 0.5, 1), (2, 0.9, 1), (1, 0.5, 0), (0, 0.5, 0)],
)
def test_so_many_are_held_out_and_the_others_trained_on(images: int, share: float, held_out: int) -> None:
    train, held = hold_out(images, share, 0, 3)
    assert len(held) == held_out
    assert sorted([*train, *held]) == list(range(images))
    assert list(train) == sorted(train) and list(held) == sorted(held)


def test_each_client_and_seed_draws_by_itself() -> None:
    def drawn(seed: int, client: int) -> list[int]:
        return [int(place) for place in hold_out(100, 0.2, seed, client)[1]]

    assert drawn(0, 1) == drawn(0, 1)
    assert len({tuple(drawn(*one)) for one in ((0, 1), (0, 2), (1, 1))}) == 3


def test_nothing_held_out_changes_nothing() -> None:
    np.testing.assert_array_equal(hold_out(7, 0.0, 0, 0)[0], np.arange(7))


@pytest.mark.parametrize("share", ["1", "-0.1", "nan"])
def test_a_share_is_below_one(share: str) -> None:
    with pytest.raises(SettingError, match=r"partition\.holdout"):
        compose([f"partition.holdout={share}"])

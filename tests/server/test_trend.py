import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.config import CorrectionConfig
from fedphd.common.config.correction import CORRECTIONS, learning_is_slow


@pytest.mark.parametrize(
    ("after", "slow"),
    [
        (0.75, False),  # a fall of 25 %
        (0.875, False),  # 12.5 %, the threshold
        (0.9375, True),  # 6.25 %
        (1.0, True),
        (1.5, True),  # it rises
    ],
)
def test_relative_fall_from_window_to_window(after: float, slow: bool) -> None:
    # Means of the windows: (0.5 + 1.5) / 2 = 1, and (after - 0.25 + after + 0.25) / 2 = after.
    losses = [9.0, 0.5, 1.5, after - 0.25, after + 0.25]
    assert learning_is_slow(losses, window=2, threshold=0.125) == slow


def test_two_windows_are_needed() -> None:
    assert [learning_is_slow([1.0] * rounds, 3, 0.02) for rounds in range(8)] == [False] * 6 + [True] * 2


def test_rounds_without_a_loss_are_passed_over() -> None:
    # Without the None: 1, 0.5 | 0.5, 0.25: means 0.75 and 0.375, a fall of a half.
    losses = [None, 1.0, 0.5, None, None, 0.5, 0.25, None]
    assert learning_is_slow(losses, 2, 0.51)
    assert not learning_is_slow(losses, 2, 0.49)
    assert not learning_is_slow([1.0, None, None, None, 1.0, 1.0], 2, 0.5)


@given(st.lists(st.floats(0.01, 10), min_size=4, max_size=12), st.integers(1, 2), st.floats(0.01, 0.5))
def test_unit_of_the_loss_does_not_matter(losses: list[float], window: int, threshold: float) -> None:
    scaled = [1024 * loss for loss in losses]  # a power of two: nothing is rounded
    assert learning_is_slow(scaled, window, threshold) == learning_is_slow(losses, window, threshold)


TUNING = {"local_epochs": 1, "images": 1, "chunk": 1, "steps": 1, "batch_size": 1, "lr": 1e-4}


def correction(kind: str, **options: object) -> CorrectionConfig:
    return CORRECTIONS.read({"kind": kind, **options})


def rounds_corrected(config: CorrectionConfig, losses: list[float | None]) -> list[int]:
    """Commit a round for each loss, and note after which rounds the model is corrected."""
    rounds: list[int] = []
    for root_round in range(1, len(losses) + 1):
        if config.due(losses[:root_round], rounds[-1] if rounds else None):
            rounds.append(root_round)
    return rounds


def test_once_corrects_at_the_first_slow_round_and_never_again() -> None:
    config = correction("once", **TUNING, window=2, threshold=0.1)
    # Means of the two windows after round 4: 1.2 -> 0.6; 5: 0.9 -> 0.45; 6: 0.6 -> 0.5, a fall of 17 %; 7: 0.45 -> 0.5;
    # 8: 0.5 -> 0.5; 9: 0.5 -> 0.35; 10: 0.5 -> 0.2; 11: 0.35 -> 0.2; 12: 0.2 -> 0.2.
    losses = [1.4, 1.0, 0.8, 0.4, 0.5, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2, 0.2]
    slow = [number for number in range(1, 13) if learning_is_slow(losses[:number], 2, 0.1)]
    assert slow == [7, 8, 12]
    assert rounds_corrected(config, losses) == [7]


def test_once_does_nothing_while_learning_goes_on() -> None:
    config = correction("once", **TUNING, window=1, threshold=0.25)
    assert rounds_corrected(config, [1.0, 0.5, 0.25, 0.125, 0.0625]) == []


def test_each_round_and_none() -> None:
    losses: list[float | None] = [1.0, None, 0.1]
    assert rounds_corrected(correction("each_round", **TUNING), losses) == [1, 2, 3]
    assert rounds_corrected(correction("none"), losses) == []

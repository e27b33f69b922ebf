"""Names of classes by which holders may mean the same."""

import pytest

from fedphd.common.data.class_doubts import doubts


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (["cat", "Dog"], []),
        (["bird"], []),
        (
            ["dog", "bird"],
            [
                "WARNING: its dog and client-0's Dog differ by capitals alone, and count as different classes: "
                "name them alike, or give data.classes"
            ],
        ),
        (
            ["0", "1"],
            [
                "WARNING: its classes are numbers (0, 1), and those of client-0 words (cat, Dog): "
                "name them alike, or give data.classes"
            ],
        ),
        (
            ["image"],
            [
                "WARNING: its classes are none (image), and those of client-0 words (cat, Dog): "
                "name them alike, or give data.classes"
            ],
        ),
        (["image", "cat"], []),
        (["0", "bird"], []),
    ],
)
def test_what_looks_like_one_class_with_two_names(second: list[str], told: list[str]) -> None:
    assert doubts({"client-0": ["cat", "Dog"], "client-1": second}) == {"client-0": [], "client-1": told}


def test_who_names_both_means_both() -> None:
    letters = {"root": ["A", "a"], "client-0": ["a"], "client-1": ["A"]}
    assert doubts(letters) == {"root": [], "client-0": [], "client-1": []}

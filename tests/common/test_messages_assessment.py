"""What clients tell of a model: as many numbers as were asked for, finite, and none below zero."""

import json
from dataclasses import replace

import pytest
from helpers import small_config
from sound_messages import DISTANCES, SOUND, read, refused, with_entry

from fedphd.common.flower.expected import ExpectedAssessment
from fedphd.common.wire.messages import Assessment
from fedphd.common.wire.records import MessageError

BINS = 10
TOLD = Assessment("client-0", 3, [0.5] * BINS, [0.25] * BINS, DISTANCES)


def test_an_assessment_without_distances_or_images() -> None:
    for told in (replace(TOLD, distances=None), Assessment("client-0", 0, [], [])):
        assert read("assessment", told.write()) == told


def changed(entry: str, **numbers: object) -> str:
    """Replace numbers of a sound assessment, and give the reason for which it is refused."""
    sound = json.loads(SOUND["assessment"].write()["assessment"][entry])
    return refused("assessment", with_entry("assessment", "assessment", entry, json.dumps(sound | numbers)))


@pytest.mark.parametrize("name", vars(DISTANCES))
@pytest.mark.parametrize(("value", "reason"), [(-1e-9, "negative"), (float("nan"), "finite"), (1e39, "finite")])
def test_distances_that_cannot_be(name: str, value: float, reason: str) -> None:
    assert reason in changed("distances", **{name: [value, 1.0]})


@pytest.mark.parametrize("name", ["loss", "training_loss"])
@pytest.mark.parametrize("value", [[float("inf")], ["0.5"], 0.5, [True], [[0.5]], None])
def test_losses_that_are_no_numbers(name: str, value: object) -> None:
    assert "lists of finite numbers" in changed("losses", **{name: value})


@pytest.mark.parametrize("name", ["loss", "training_loss"])
@pytest.mark.parametrize("value", [-1e-9, 1.1e6, 3e38])
def test_losses_that_no_model_has(name: str, value: float) -> None:
    assert "losses must be from 0 to 1,000,000" in changed("losses", **{name: [0.5, value]})


def test_numbers_that_nobody_asked_for() -> None:
    assert "must be a JSON object with loss, training_loss" in changed("losses", more=[1.0])
    assert "must be a JSON object with nearest, ratio" in changed("distances", more=[1.0])


def check(told: Assessment, generated: int = 2, *overrides: str) -> Assessment:
    return ExpectedAssessment(small_config(*overrides), generated).check(told)


def test_what_was_asked_for_is_taken() -> None:
    assert check(TOLD) == TOLD
    for generated in (0, 2):
        assert check(Assessment("client-0", 0, [], []), generated).images == 0
    few = Assessment("client-0", 1, [0.5] * 4, [0.5] * 4)
    assert check(few, 0, "diffusion.timesteps=4", "sampler.steps=2") == few


@pytest.mark.parametrize(
    ("wrong", "generated", "reason"),
    [
        ({"images": 101}, 2, "more than evaluation.own_images=100"),
        ({"loss": [0.5] * 9}, 2, "loss: 9 numbers instead of 10"),
        ({"training_loss": [0.5] * 11}, 2, "loss: 11 numbers instead of 10"),
        ({"loss": [], "training_loss": []}, 2, "loss: 0 numbers instead of 10"),
        ({"images": 0}, 2, "loss: 10 numbers instead of 0"),
        ({"images": 0, "loss": [], "training_loss": []}, 2, "distances must come where, and only where"),
        ({"distances": None}, 2, "distances must come where, and only where"),
        ({}, 0, "distances must come where, and only where"),
        ({}, 3, "distances of generated images: 2 numbers instead of 3"),
        ({"images": 4}, 2, "distances of held-out images: 3 numbers instead of 4"),
        ({"distances": replace(DISTANCES, spacing=[1.0])}, 2, "distances of generated images: 1 numbers instead of 2"),
        ({"distances": replace(DISTANCES, held_out_ratio=[])}, 2, "held-out images: 0 numbers instead of 3"),
    ],
)
def test_what_was_not_asked_for_is_refused(wrong: dict[str, object], generated: int, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        check(replace(TOLD, **wrong), generated)  # type: ignore[arg-type]
    assert reason in str(caught.value)

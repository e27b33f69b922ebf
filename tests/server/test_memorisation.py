"""Copies are found, and nothing is found where there are none."""

import numpy as np
import pytest
import torch

from fedphd.common.data.nearness import nearest, spacing
from fedphd.common.wire.messages import Distances
from fedphd.server.evaluation.memorisation import judge, summary

RNG = np.random.default_rng(0)
FEATURES = 20


def images(count: int) -> torch.Tensor:
    return torch.from_numpy(RNG.standard_normal((count, FEATURES)).astype(np.float32))


def distances(generated: torch.Tensor, training: torch.Tensor, held_out: torch.Tensor) -> Distances:
    """Tell as a client does."""

    def told(some: torch.Tensor) -> list[list[float]]:
        found = nearest(some, training)
        return [found.distance.tolist(), found.ratio.tolist(), spacing(training, found.index).tolist()]

    return Distances(*told(generated), *told(held_out))


def judged(generated: torch.Tensor, training: torch.Tensor, held_out: torch.Tensor):  # type: ignore[no-untyped-def]
    verdict = judge(distances(generated, training, held_out))
    assert verdict is not None
    return verdict


def test_a_model_that_gives_its_training_images_is_flagged() -> None:
    training = images(100)
    noisy = training[:40] + 0.02 * images(40)
    for generated in (training[:40], noisy):
        verdict = judged(generated, training, images(30))
        assert verdict.near.all() and verdict.copies.all() and not verdict.authentic.any()
        assert verdict.p_value < 1e-9
        assert verdict.flagged(clients=20)


def test_one_copy_among_many_new_images_is_flagged() -> None:
    training = images(100)
    verdict = judged(torch.cat([images(39), training[7:8]]), training, images(30))
    assert verdict.copies.nonzero()[0].tolist() == [39]
    assert not verdict.authentic[39]
    assert verdict.flagged(clients=20)


def test_a_model_that_draws_new_images_is_not_flagged() -> None:
    """Of 300 honest models, with few held-out images too, at most three may be: the level is 1 %."""
    flagged = 0
    for held_out in (3, 10, 60):
        verdicts = [judged(images(40), images(60), images(held_out)) for _ in range(100)]
        flagged += sum(verdict.flagged(clients=1) for verdict in verdicts)
        assert np.mean([verdict.near.mean() for verdict in verdicts]) <= verdicts[0].expected * 1.2
    assert flagged <= 3


def test_a_model_that_draws_images_of_others_is_not_flagged() -> None:
    verdict = judged(images(40) + 5, images(60), images(20))
    assert not verdict.near.any() and verdict.authentic.all()
    assert verdict.p_value == 1.0


def test_blurred_images_are_near_to_everything_and_no_copies() -> None:
    """Their distances are small, but not beside those of other training images."""
    training = images(100)
    told = distances(torch.zeros(40, FEATURES) + 0.01 * images(40), training, images(60))
    verdict = judge(told)
    assert verdict is not None
    assert np.mean(np.array(told.nearest) < np.quantile(told.held_out_nearest, 0.05)) > 0.9
    assert not verdict.flagged(clients=1)


@pytest.mark.parametrize(("held_out", "expected"), [(1, 1 / 2), (4, 1 / 5), (19, 1 / 20), (38, 1 / 39), (39, 2 / 40)])
def test_the_threshold_fits_the_number_of_held_out_images(held_out: int, expected: float) -> None:
    assert judged(images(5), images(10), images(held_out)).expected == pytest.approx(expected)


def test_without_held_out_images_there_is_no_verdict() -> None:
    assert judge(Distances([0.1], [0.1], [0.1], [], [], [])) is None


def test_a_single_training_image() -> None:
    verdict = judged(torch.zeros(3, FEATURES), torch.zeros(1, FEATURES), images(4))
    assert verdict.near.all() and verdict.copies.all()


def test_held_out_images_that_are_training_images_too_make_no_verdict_of_copies() -> None:
    """A set with doubles cannot tell a copy from a new image."""
    training = images(50)
    verdict = judged(training[:20], training, training[:30])
    assert verdict.blind and not verdict.flagged(clients=1)
    assert verdict.copies.all()  # and yet they are


def test_one_held_out_image_that_is_a_training_image_too_hides_single_copies() -> None:
    """... but not a model that gives nothing else."""
    training = images(100)
    held_out = torch.cat([training[:1], images(20)])
    one = judged(torch.cat([images(39), training[7:8]]), training, held_out)
    assert one.blind and one.copies.sum() == 1 and not one.flagged(clients=1)
    assert one.expected == pytest.approx(2 / 22)
    assert judged(training[:40], training, held_out).flagged(clients=20)
    many = judged(torch.cat([images(39), training[7:8]]), training, torch.cat([training[:1], images(60)]))
    assert not many.blind and many.flagged(clients=20)  # the threshold is the third nearest


def test_all_clients_together() -> None:
    """Of the same images, a copy of any client's counts; of each client's own, shares are means."""
    first, second = images(60), images(60)
    generated = torch.cat([first[:4], second[:2], images(14)])
    told = [distances(generated, training, images(30)) for training in (first, second)]
    verdicts = [verdict for one in told if (verdict := judge(one)) is not None]
    together = summary(verdicts, same=True)
    assert together["copied_share"] == pytest.approx(6 / 20)
    assert together["authentic_share"] == np.mean([one.authentic for one in verdicts]) < 1
    assert together["near_share_reference"] == pytest.approx(1 / 31)
    assert 0 < together["authentic_share_reference"] < 1
    apart = summary(verdicts, same=False)
    assert apart["copied_share"] == pytest.approx((4 / 20 + 2 / 20) / 2)
    assert apart["near_share"] == together["near_share"]

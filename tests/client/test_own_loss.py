"""The loss on a client's images by diffusion time: always from the same noise, and comparable."""

import numpy as np
import pytest
import torch
from helpers import small_config

from fedphd.client.own_loss import OwnLoss
from fedphd.common.config import Config
from fedphd.common.data import load
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.network import UNet
from fedphd.common.network.build import build_unet
from fedphd.common.training.time_bins import time_bins

CPU = torch.device("cpu")
CONFIG = small_config()


class Perfect(torch.nn.Module):
    """Knows the images, and so the noise, at every time."""

    def __init__(self, x_0: torch.Tensor, alpha_bar: torch.Tensor) -> None:
        super().__init__()
        self.x_0, self.alpha_bar = x_0, alpha_bar

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> object:
        alpha_bar = self.alpha_bar[t].view(-1, 1, 1, 1)
        epsilon = (x_t - alpha_bar.sqrt() * self.x_0) / (1 - alpha_bar).sqrt()
        return type("Output", (), {"sample": epsilon})


@pytest.fixture(scope="module")
def digits() -> TrainingSet:
    return TrainingSet(torch.from_numpy(load(CONFIG.data, "train", 0).images(np.arange(30))))


def losses(images: TrainingSet, config: Config = CONFIG, client: int = 0, unet: UNet | None = None) -> list[float]:
    return OwnLoss(config, client, CPU).by_time(unet or build_unet(config.model, 0), images)


def test_times_are_cut_into_ten_equal_bins() -> None:
    assert [(one.start, one.stop) for one in time_bins(1000)][::3] == [(0, 100), (300, 400), (600, 700), (900, 1000)]
    assert [len(one) for one in time_bins(25)] == [2, 3] * 5
    assert time_bins(3) == [range(1), range(1, 2), range(2, 3)]


def test_the_same_noise_every_time_whatever_torch_drew_and_however_it_is_batched(digits: TrainingSet) -> None:
    first = losses(digits)
    torch.rand(5)
    assert losses(digits) == first
    assert losses(digits, small_config("evaluation.batch_size=7")) == pytest.approx(first, rel=1e-5)
    assert losses(digits, client=1) != pytest.approx(first, rel=1e-3)
    assert losses(digits, small_config("seed=1")) != pytest.approx(first, rel=1e-3)


def test_an_untrained_network_misses_all_of_the_noise_and_a_perfect_one_nothing(digits: TrainingSet) -> None:
    silent = build_unet(CONFIG.model, 0)
    for parameter in silent.parameters():
        parameter.data.zero_()
    assert losses(digits, unet=silent) == pytest.approx([1.0] * 10, abs=0.1)  # E[epsilon^2]
    own = OwnLoss(CONFIG, 0, CPU)
    x_0 = digits.batch(torch.arange(30), flip=False)
    perfect = Perfect(x_0, own.diffusion._scheduler.alphas_cumprod)
    assert max(own.by_time(perfect, digits)) < 1e-3


def test_latents_are_taken_as_they_are(digits: TrainingSet) -> None:
    latents = TrainingSet(digits.batch(torch.arange(30), flip=False))
    assert losses(latents) == losses(digits)


def test_without_images_there_is_no_loss(digits: TrainingSet) -> None:
    assert losses(TrainingSet(digits.images[:0])) == []


def test_min_snr_weights_do_not_count(digits: TrainingSet) -> None:
    """So that runs compare."""
    assert losses(digits, small_config("diffusion.min_snr=5")) == losses(digits)


def test_the_network_is_left_as_it_was(digits: TrainingSet) -> None:
    unet = build_unet(CONFIG.model, 0)
    before = [parameter.clone() for parameter in unet.parameters()]
    losses(digits, unet=unet)
    assert all(torch.equal(one, other) for one, other in zip(before, unet.parameters(), strict=True))

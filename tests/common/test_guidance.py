"""Classifier-free guidance, and drawing by class."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fedphd.common.network.build import build_unet
from fedphd.common.network.conditioning import NO_CLASS, apply, number_of_classes
from fedphd.common.training.guidance import guided
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.sampling import Sampler
from tests.helpers import small_config

CPU = torch.device("cpu")
CLASSES = 3
TOLD = ("model.classes=labels", f"+model.unet.num_class_embeds={CLASSES + 1}")
SMALL = ("model.unet.block_out_channels=[8,8]", "model.unet.norm_num_groups=2", "sampler.steps=4")


def unet(*overrides: str) -> torch.nn.Module:
    return build_unet(small_config(*SMALL, *overrides).model, 3)


@pytest.fixture
def told() -> torch.nn.Module:
    return unet(*TOLD)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 1, 8, 8, generator=generator), torch.tensor(500), torch.tensor([0, 1, 2, 0])


def test_a_network_knows_of_how_many_classes_it_is_told(told: torch.nn.Module) -> None:
    assert number_of_classes(told) == CLASSES
    assert number_of_classes(unet()) is None


@torch.no_grad()
def test_without_labels_no_class_is_asked_for(told: torch.nn.Module) -> None:
    x_t, t, _ = batch()
    expected = told(x_t, t, class_labels=torch.full((4,), CLASSES)).sample
    assert torch.equal(apply(told, x_t, t), expected)
    assert torch.equal(apply(told, x_t, t, torch.full((4,), NO_CLASS)), expected)
    assert torch.equal(guided(told, None, 3.0)(x_t, t), expected)


@torch.no_grad()
@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 3.0])
def test_guidance_goes_from_no_class_to_the_class(told: torch.nn.Module, guidance: float) -> None:
    x_t, t, labels = batch()
    none, of_class = apply(told, x_t, t), apply(told, x_t, t, labels)
    assert not torch.allclose(none, of_class)
    drawn = guided(told, labels, guidance)(x_t, t)
    torch.testing.assert_close(drawn, none + guidance * (of_class - none), rtol=0, atol=2e-6)


@torch.no_grad()
@pytest.mark.parametrize(("guidance", "runs"), [(1.0, [4]), (2.0, [8])])
def test_at_one_the_network_runs_once_else_on_a_doubled_batch(
    told: torch.nn.Module, guidance: float, runs: list[int]
) -> None:
    x_t, t, labels = batch()
    sizes: list[int] = []
    told.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    guided(told, labels, guidance)(x_t, t)
    assert sizes == runs


def test_an_image_has_its_class_whatever_the_batch(told: torch.nn.Module) -> None:
    reverse = ReverseProcess.of(small_config(*SMALL, *TOLD, "sampler.guidance=2"))
    labels = np.array([2, 0, 1, 1, 0])
    whole = Sampler(reverse, 0, 5, CPU).draw(told, 5, labels=labels).astype(int)
    parts = Sampler(reverse, 0, 2, CPU)
    first, second = parts.draw(told, 2, labels=labels[:2]), parts.draw(told, 3, first=2, labels=labels[2:])
    assert np.abs(np.concatenate([first, second]).astype(int) - whole).max() <= 1
    latents = Sampler(reverse, 0, 5, CPU).draw_latents(told, 5, labels=labels)
    assert np.abs(latents - Sampler(reverse, 0, 5, CPU).draw_latents(told, 5)).max() > 1e-3

"""The group lasso over channels."""

import gc
import weakref

import pytest
import torch
from helpers import small_config
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fedphd.client.objective.group_lasso import group_lasso_penalty
from fedphd.client.objective.group_sparsity import group_norm_penalty
from fedphd.common.network.build import build_unet
from fedphd.common.network.channel_groups import channel_groups

MODEL = small_config().model


def norms(unet: nn.Module) -> torch.Tensor:
    return channel_groups(unet).squares(dict(unet.named_parameters())).detach().sqrt()


@pytest.mark.parametrize("size", [1.0, 0.5])
def test_the_penalty_by_hand(size: float) -> None:
    """Where every weight is w, a channel of p weights costs sqrt(p) * sqrt(p w^2) = p w."""
    unet = build_unet(MODEL, 0)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.fill_(size)
    numbers = channel_groups(unet).sizes(dict(unet.named_parameters())).sum()
    torch.testing.assert_close(group_lasso_penalty(unet), size * numbers)


def test_each_weight_is_pulled_along_its_channel() -> None:
    """The gradient is sqrt(p_c) W_c / ||W_c||, of the channel that a weight makes and of the one that it takes."""
    unet = build_unet(MODEL, 0)
    weight = unet.get_parameter("conv_in.weight")  # takes the image, which is no channel
    groups, parameters = channel_groups(unet), dict(unet.named_parameters())
    [at] = [one for one in groups.slices if one.weight == "conv_in.weight"]
    size, norm = groups.sizes(parameters)[at.channels].sqrt(), norms(unet)[at.channels]
    group_lasso_penalty(unet).backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, weight.detach() * (size / norm).view(-1, 1, 1, 1))


def test_it_makes_the_weakest_channels_small_first() -> None:
    """Norms of whole tensors shrink all channels of a tensor by the same factor."""
    shares = []
    for penalty, rate in ((group_lasso_penalty, 2e-3), (group_norm_penalty, 0.05)):
        unet = build_unet(MODEL, 0)
        with torch.no_grad():
            unet.get_parameter("conv_in.weight")[0] *= 0.3
        before = unet.get_parameter("conv_in.weight").detach().flatten(1).norm(dim=1)
        for _ in range(20):
            unet.zero_grad()
            penalty(unet).backward()
            with torch.no_grad():
                for parameter in unet.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(rate * parameter.grad)
        after = unet.get_parameter("conv_in.weight").detach().flatten(1).norm(dim=1)
        shares.append((after / before)[0] / (after / before)[1:].mean())
    assert shares[0] < 0.95 and shares[1] == pytest.approx(1.0, abs=1e-3)


def test_a_channel_that_is_nothing_stays_so() -> None:
    unet = build_unet(MODEL, 0)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.zero_()
    group_lasso_penalty(unet).backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in unet.parameters())


def test_a_compiled_network_has_the_same_penalty() -> None:
    unet = build_unet(MODEL, 0)
    assert torch.equal(group_lasso_penalty(torch.compile(unet)), group_lasso_penalty(unet))


def test_it_keeps_no_network_alive() -> None:
    """After a pruning the dense network goes."""
    unet = build_unet(MODEL, 0)
    group_lasso_penalty(unet)
    gone = weakref.ref(unet)
    del unet
    gc.collect()
    assert gone() is None


class Copies(TorchDispatchMode):
    """Counts what is copied from device to device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += func is torch.ops.aten._to_copy.default
        return func(*args, **(kwargs or {}))


def test_indices_are_copied_to_the_networks_device_once() -> None:
    """`meta` stands for a GPU: a device without numbers, to which things are copied all the same."""
    unet = build_unet(MODEL, 0)
    group_lasso_penalty(unet)
    unet.to("meta")
    counts = []
    for _ in range(2):
        with Copies() as copies:
            assert group_lasso_penalty(unet).device.type == "meta"
        counts.append(copies.count)
    assert counts[0] > 0 and counts[1] == 0

"""The groups of weights that a pruning ranks and removes."""

import pytest
import torch
import torch_pruning as tp
from helpers import small_config
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fedphd.common.config import ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.channel_groups import channel_groups
from fedphd.common.network.pruning import last_convolution, prune, working_copy

MODEL = small_config().model
CONVNEXT = small_config("model=feddiffuse_fmnist").model


class Sums(TorchDispatchMode):
    """Counts sums over dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += func is torch.ops.aten.sum.dim_IntList
        return func(*args, **(kwargs or {}))


def weights(unet: nn.Module) -> dict[str, Tensor]:
    return dict(unet.named_parameters())


def ranked(unet: nn.Module) -> list[Tensor]:
    """Rank as `prune` does, but for factors that all channels of a layer have."""
    importance = tp.importance.GroupMagnitudeImportance(p=2, group_reduction="sum", normalizer=None)
    with working_copy(unet) as (traced, inputs):
        graph = tp.DependencyGraph().build_dependency(traced, inputs)
        return [importance(group) for group in graph.get_all_groups([last_convolution(traced)])]


@pytest.mark.parametrize("model", [MODEL, CONVNEXT], ids=["unet", "convnext"])
def test_a_groups_squares_are_what_a_pruning_ranks_by(model: ModelConfig) -> None:
    unet = build_unet(model, 3)
    expected = torch.cat(ranked(unet))
    found = channel_groups(unet).squares(weights(unet))
    torch.testing.assert_close(found, expected)
    assert len(found) > 100 and found.min() > 0


def test_groups_of_a_pruned_network() -> None:
    pruned = prune(build_unet(MODEL, 3), 0.25)[0]
    torch.testing.assert_close(channel_groups(pruned).squares(weights(pruned)), torch.cat(ranked(pruned)))
    assert channel_groups(pruned).count < channel_groups(build_unet(MODEL, 3)).count


def test_sizes_count_each_slice_once() -> None:
    """Every weight but those at the image and of the norms is in the group that it makes, and in the one it takes."""
    unet = build_unet(MODEL, 3)
    sizes = channel_groups(unet).sizes(weights(unet))
    layers = {name: weight for name, weight in weights(unet).items() if name.endswith("weight") and weight.ndim > 1}
    once = {"conv_in.weight", "conv_out.weight", "time_embedding.linear_1.weight"}  # take, or make, what is no channel
    numbers = sum(weight.numel() * (1 if name in once else 2) for name, weight in layers.items())
    assert sizes.sum() == numbers
    assert sizes.min() > 0


def test_each_tensor_is_summed_once_for_each_dimension() -> None:
    """... though several groups share it, as where a skip connection joins what comes from below."""
    unet = build_unet(MODEL, 3)
    groups = channel_groups(unet)
    cuts = {(one.weight, one.dimension) for one in groups.slices}
    assert len(cuts) < len(groups.slices)
    with Sums() as sums:
        groups.squares(weights(unet))
    assert sums.count == len(cuts)


def test_a_network_that_cannot_be_pruned() -> None:
    with pytest.raises(SettingError, match=r"^pruning|^model"):
        channel_groups(nn.Conv2d(1, 1, 1))

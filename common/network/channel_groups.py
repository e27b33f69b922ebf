"""Which weights a pruning removes together: channel by channel, over all layers that a channel runs through."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
import torch_pruning as tp
from torch import Tensor, nn

from fedphd.common.network import UNet
from fedphd.common.network.networks import check_prunable
from fedphd.common.network.pruning import last_convolution, working_copy

OUTPUTS = (tp.prune_conv_out_channels, tp.prune_linear_out_channels)
INPUTS = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)


@dataclass(frozen=True)
class Slices:
    """Slices of one weight tensor, and the channel that each belongs to.

    Attributes
    ----------
    weight : str
        The tensor's name.
    dimension : int
        The one along which it is cut.
    at, channels : Tensor
        Indices in this dimension, and the channel's number among all of the network, shape (n,), int64.
    """

    weight: str
    dimension: int
    at: Tensor
    channels: Tensor

    def to(self, device: torch.device) -> "Slices":
        """Give the same with its indices on a device."""
        return replace(self, at=self.at.to(device), channels=self.channels.to(device))


@dataclass(frozen=True)
class ChannelGroups:
    """A network's groups: the weights of each channel. One that makes a channel and takes another is in both groups.

    Attributes
    ----------
    count : int
        Number of groups.
    slices : tuple[Slices, ...]
        What belongs to them: output and input slices of the weights of convolutions and linear layers.
    """

    count: int
    slices: tuple[Slices, ...]

    def to(self, device: torch.device) -> "ChannelGroups":
        """Give the same with its indices on a device: that of the weights, before they are summed."""
        return replace(self, slices=tuple(one.to(device) for one in self.slices))

    def squares(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Sum the squares in each group, shape (count,): by this, a pruning ranks the channels of a layer."""
        total = next(iter(weights.values())).new_zeros(self.count)
        sums: dict[tuple[str, int], Tensor] = {}  # a tensor that several groups cut the same way is read once
        for one in self.slices:
            cut = one.weight, one.dimension
            if cut not in sums:
                sums[cut] = _squares(weights[one.weight], one.dimension)
            total = total.index_add(0, one.channels, sums[cut][one.at])
        return total

    def sizes(self, weights: Mapping[str, Tensor]) -> Tensor:
        """Count the numbers in each group, shape (count,)."""
        return self.squares({one.weight: torch.ones_like(weights[one.weight]) for one in self.slices})


def channel_groups(unet: UNet) -> ChannelGroups:
    """Find the groups of DepGraph (Fang et al. 2023, section 3), as `pruning.prune` ranks and removes them.

    Parameters
    ----------
    unet : UNet
        Left unchanged. Which weights are grouped does not depend on their values.

    Raises
    ------
    SettingError
        If the network cannot be pruned.
    """
    check_prunable(unet)
    with working_copy(unet) as (traced, inputs):
        graph = tp.DependencyGraph().build_dependency(traced, inputs)
        names = {module: f"{name}.weight" for name, module in traced.named_modules()}
        count: int = 0
        slices: list[Slices] = []
        for group in graph.get_all_groups([last_convolution(traced)]):
            slices += _slices(group, count, names)
            count += len(group[0].idxs)
    return ChannelGroups(count, tuple(slices))


def _squares(weight: Tensor, dimension: int) -> Tensor:
    """Sum the squares at each index of a dimension."""
    return weight.square().sum([other for other in range(weight.ndim) if other != dimension])


def _slices(group: tp.Group, first: int, names: Mapping[nn.Module, str]) -> Iterator[Slices]:
    for item in group:
        function, layer = item.dep.pruning_fn, item.dep.layer
        if function not in (*OUTPUTS, *INPUTS) or None in item.root_idxs:
            continue  # torch-pruning does not rank by it either
        transposed = isinstance(layer, nn.ConvTranspose2d)
        dimension = int((function in INPUTS) != transposed)
        channels = first + torch.tensor(item.root_idxs)
        yield Slices(names[layer], dimension, torch.tensor(item.idxs), channels)

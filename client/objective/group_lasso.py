"""The group lasso over channels: a penalty that makes whole channels small, before the weakest are pruned."""

from typing import ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from fedphd.client.objective.term import TERMS, Step, Term
from fedphd.common.network.channel_groups import ChannelGroups, channel_groups

_known: WeakKeyDictionary[nn.Module, tuple[ChannelGroups, Tensor]] = WeakKeyDictionary()  # keeps no network alive


@TERMS.register("group_lasso")
class GroupLasso(Term):
    """lambda * sum_c sqrt(p_c) ||W_c||_2 over all channels c, in the sparse rounds; lambda is the weight.

    Ours, in place of FedPhD's norms of whole tensors, which shrink a tensor evenly and no channel before another.
    """

    in_sparse_rounds_only: ClassVar[bool] = True

    def value(self, step: Step) -> Tensor | None:
        """Compute the penalty of the network as it is."""
        return self.weight * group_lasso_penalty(step.unet)


def group_lasso_penalty(unet: nn.Module) -> Tensor:
    """Sum of sqrt(p_c) ||W_c||_2 over channels (Yuan & Lin 2006, eq. 2.1 with K_j = p_j I).

    W_c are the p_c weights that pruning removes with channel c: the slices that make it and those that take it, in all
    layers that it runs through (DepGraph; Fang et al. 2023). With the factor, each weight is pulled equally hard on
    average, however wide its layer.
    """
    unet = getattr(unet, "_orig_mod", unet)  # of a compiled one
    groups, roots = _groups(unet)
    norms = groups.squares(dict(unet.named_parameters())).clamp_min(1e-20).sqrt()  # where 0, the gradient is 0
    return (roots * norms).sum()


def _groups(unet: nn.Module) -> tuple[ChannelGroups, Tensor]:
    """Find the groups and sqrt(p_c), on the network's device: once, however often it is trained there."""
    device = next(unet.parameters()).device
    if unet not in _known:
        groups = channel_groups(unet).to(device)
        with torch.no_grad():
            _known[unet] = groups, groups.sizes(dict(unet.named_parameters())).sqrt()
    groups, roots = _known[unet]
    if roots.device != device:
        _known[unet] = groups.to(device), roots.to(device)
    return _known[unet]

"""Structured pruning: whole channels are removed, and a smaller dense U-Net remains.

FedPhD prunes with torch-pruning's dependency graph (Fang et al. 2023, DepGraph): channels that must
go together, through residual sums, concatenations and GroupNorm, form a group, and every group
loses those whose weights have the smallest group L2 norm. The settings are those of FedPhD's
authors' code; that every attention head loses its own weakest channels is ours (theirs cuts off the
last rows of q, k and v, which mixes the heads; parameters and MACs come out the same).

Pruning makes new parameters: a pruned U-Net needs a new optimizer, and to be compiled anew.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch_pruning as tp
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from fedphd.common.errors import SettingError
from fedphd.common.network import UNet
from fedphd.common.network.conditioning import inputs
from fedphd.common.network.networks import check_prunable, image_shape
from fedphd.common.network.structure import Structure, StructureError
from fedphd.common.network.widths import refresh_widths


@dataclass(frozen=True)
class Pruning:
    """What was pruned, so that the same can be done to another network of the same structure.

    Attributes
    ----------
    ratio : float
        Share of channels that was asked for.
    structure : str
        Structure id before the pruning.
    history : tuple[tuple[str, bool, tuple[int, ...]], ...]
        torch-pruning's history. One entry per group: its root layer's name, whether that layer's
        output (else input) channels go, and which, as counted after the entries before it.
    """

    ratio: float
    structure: str
    history: tuple[tuple[str, bool, tuple[int, ...]], ...]


def prune(unet: UNet, ratio: float) -> tuple[UNet, Pruning]:
    """Remove the least important channels of every layer but the last.

    GroupNorm ties a layer's channels to groups that stay equally wide, so a group of g channels
    keeps floor(g (1 - ratio)) of them: the removed share is rounded up to a multiple of 1/g. The
    same holds for an attention head of g channels; no head is removed.

    Parameters
    ----------
    unet : UNet
        Left unchanged. The choice depends on its weights alone.
    ratio : float
        Share of channels to remove.

    Returns
    -------
    tuple[UNet, Pruning]
        A new, narrower network with parameters of its own, and what was removed.

    Raises
    ------
    SettingError
        If some layer would lose nothing, or all that it has; or if the network cannot be pruned at all.
    """
    check_prunable(unet)
    if not 0 < ratio < 1:
        raise SettingError("pruning.ratio", ratio, _advice(unet))
    with working_copy(unet) as (pruned, example):
        pruner = tp.pruner.BasePruner(
            pruned,
            example,
            # The authors' GroupNormImportance(p=2), by torch-pruning's present name for it.
            importance=tp.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=[last_convolution(pruned)],
            num_heads={layer: block.heads for block in _attentions(pruned) for layer in _projections(block)},
            # torch-pruning's defaults are shared by all pruners and would keep every pruned model alive.
            in_channel_groups={},
            out_channel_groups={},
        )
        pruner.step()
        history = tuple((name, out, tuple(indices)) for name, out, indices in pruner.pruning_history())
    # Groups that would keep nothing are skipped by torch-pruning without a word.
    if any(after == before for after, before in zip(_widths(pruned), _widths(unet), strict=True)):
        raise SettingError("pruning.ratio", ratio, _advice(unet))
    return pruned, Pruning(ratio, Structure.of(unet.state_dict()).id, history)


def prune_like(unet: UNet, pruning: Pruning) -> UNet:
    """Remove the same channels from a network of the structure that was pruned, e.g. the EMA.

    Parameters
    ----------
    unet : UNet
        Left unchanged.
    pruning : Pruning
        What `prune` removed.

    Returns
    -------
    UNet
        A new, narrower network with parameters of its own.

    Raises
    ------
    StructureError
        If the network has another structure than the one that was pruned.
    """
    structure = Structure.of(unet.state_dict()).id
    if structure != pruning.structure:
        raise StructureError(f"structure {structure} cannot be pruned like {pruning.structure}: the channels differ")
    with working_copy(unet) as (pruned, example):
        graph = tp.DependencyGraph().build_dependency(pruned, example)
        graph.load_pruning_history([(name, out, list(indices)) for name, out, indices in pruning.history])
    return pruned


@contextmanager
def working_copy(unet: UNet) -> Iterator[tuple[UNet, tuple[Tensor, ...]]]:
    """Lend a copy that torch-pruning can trace and cut, with inputs; put right afterwards what it left.

    Tracing needs gradients: under no_grad it fails, and frozen parameters it leaves unpruned without
    a word. It works on the CPU, so that sums, and with them the choice, do not depend on the device.
    """
    with torch.inference_mode(False), torch.enable_grad():
        work = copy.deepcopy(unet).cpu().requires_grad_(True)
        weight = next(work.parameters())
        yield work, inputs(work, torch.zeros(1, *image_shape(work), dtype=weight.dtype), torch.zeros(1).long())
    for new, old in zip(work.parameters(), unet.parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    refresh_widths(work)
    work.to(next(unet.parameters()).device).train(unet.training)


def last_convolution(unet: UNet) -> nn.Conv2d:
    """Give the one that makes the image, whose channels stay."""
    return [module for module in unet.get_submodule("conv_out").modules() if isinstance(module, nn.Conv2d)][-1]


def _attentions(unet: UNet) -> list[Attention]:
    return [module for module in unet.modules() if isinstance(module, Attention)]


def _projections(attention: Attention) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
    return attention.to_q, attention.to_k, attention.to_v


def _norms(unet: UNet) -> list[nn.GroupNorm]:
    return [module for module in unet.modules() if isinstance(module, nn.GroupNorm)]


def _widths(unet: UNet) -> list[int]:
    """Channels of every GroupNorm and attention projection, all of which a pruning must narrow."""
    projections = [layer.out_features for attention in _attentions(unet) for layer in _projections(attention)]
    return [norm.num_channels for norm in _norms(unet)] + projections


def _advice(unet: UNet) -> str:
    """Say which ratios work, from the channels of the narrowest GroupNorm group or attention head."""
    groups = [norm.num_channels // norm.num_groups for norm in _norms(unet)]
    unit = min(groups + [attention.to_q.out_features // attention.heads for attention in _attentions(unet)])
    if unit == 1:
        return "no ratio works where a group or head has 1 channel; use fewer norm_num_groups or a larger head"
    # The largest hundredth that leaves a channel, by torch-pruning's own floating-point formula.
    largest = max(percent for percent in range(100) if int(unit * (1 - percent / 100)) >= 1)
    return f"must be above 0 and at most {largest / 100}; the narrowest layers lose channels in steps of 1/{unit}"

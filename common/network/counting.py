"""Counting a network's parameters and operations."""

from collections.abc import Sequence

import torch
import torch_pruning as tp

from fedphd.common.network.conditioning import inputs
from fedphd.common.network.networks import UNet, image_shape


def count(unet: UNet, sample_shape: Sequence[int] | None = None) -> tuple[int, int]:
    """Count parameters, and multiply-accumulate operations (MACs) of one forward pass.

    Parameters
    ----------
    unet : UNet
        Dense or pruned; left as it is.
    sample_shape : Sequence[int], optional
        (C, H, W) of one image; by default that of the U-Net's options.

    Returns
    -------
    tuple[int, int]
        Parameters and MACs, as torch-pruning counts them.
    """
    weight = next(unet.parameters())
    sample = torch.zeros(1, *(sample_shape or image_shape(unet)), dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        example = inputs(unet, sample, torch.zeros(1, device=weight.device).long())
        macs, parameters = tp.utils.count_ops_and_params(unet, example)
    return int(parameters), int(macs)

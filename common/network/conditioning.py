"""Networks that are told the class of what they predict from: class numbers, and one more for "no class".

Exports carry a copy of this module, so it imports nothing of ours (`fedphd.launch.export.bundle`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fedphd.common.network.networks import UNet


def no_class(unet: UNet) -> int | None:
    """Give the label that says "no class", the last of `num_class_embeds`; None where a network takes no labels.

    Parameters
    ----------
    unet : UNet
        Compiled or not.
    """
    embeds = getattr(getattr(unet, "config", None), "num_class_embeds", None)
    return None if embeds is None else cast(int, embeds) - 1


def apply(unet: UNet, x_t: Tensor, t: Tensor | float, labels: Tensor | None = None) -> Tensor:
    """Let a network predict, in the classes of `labels` if it takes such.

    Parameters
    ----------
    unet : UNet
        Called as diffusers' U-Nets are.
    x_t : Tensor
        Shape (B, C, H, W).
    t : Tensor or float
        One time, or a tensor of shape (), (1,) or (B,).
    labels : Tensor, optional
        Class numbers, shape (B,); without, a network that takes labels gets "no class".

    Returns
    -------
    Tensor
        Its prediction, shape (B, C, H, W).
    """
    none = no_class(unet)
    if none is None and labels is None:
        return cast(Tensor, unet(x_t, t).sample)
    if labels is None:
        labels = torch.full((len(x_t),), cast(int, none), device=x_t.device)
    return cast(Tensor, unet(x_t, t, class_labels=labels).sample)

"""Networks that are told the class of what they predict from.

A label is a class number, or `NO_CLASS`. A network takes labels if its option `num_class_embeds` is set: the number of
classes and one more, the last, which it learns for "no class" (Ho and Salimans 2022, section 3.2).

Exports carry a copy of this module, so it imports nothing of ours (`fedphd.launch.export.bundle`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fedphd.common.network.networks import UNet

NO_CLASS = -1


def number_of_classes(unet: UNet) -> int | None:
    """Count the classes that a network, compiled or not, takes labels of; None where it takes none."""
    embeds = getattr(getattr(unet, "config", None), "num_class_embeds", None)
    return None if embeds is None else cast(int, embeds) - 1


def inputs(unet: UNet, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
    """Give what a network is called with, in the order of its arguments: x_t, t, and labels if it takes such.

    Parameters
    ----------
    unet : UNet
        Says whether it takes labels.
    x_t, t : Tensor
        As for `apply`.
    labels : Tensor, optional
        As for `apply`.
    """
    classes = number_of_classes(unet)
    if classes is None:
        return x_t, t
    if labels is None:
        labels = torch.full((len(x_t),), NO_CLASS, device=x_t.device)
    return x_t, t, torch.where(labels == NO_CLASS, classes, labels)


def apply(unet: UNet, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
    """Let a network predict, in the classes of `labels` if it takes such.

    Parameters
    ----------
    unet : UNet
        Called as diffusers' U-Nets are.
    x_t : Tensor
        Shape (B, C, H, W).
    t : Tensor
        One time, or one for each: shape (), (1,) or (B,).
    labels : Tensor, optional
        Class numbers or `NO_CLASS`, shape (B,), on the network's device; without, no class. They say nothing to a
        network that takes none.

    Returns
    -------
    Tensor
        Its prediction, shape (B, C, H, W).
    """
    return cast(Tensor, unet(*inputs(unet, x_t, t, labels)).sample)

"""Classifier-free guidance (Ho and Salimans 2022): away from what a network predicts of no class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fedphd.common.network.conditioning import NO_CLASS, apply, number_of_classes

if TYPE_CHECKING:
    from fedphd.common.network import UNet

Predict = Callable[[Tensor, Tensor], Tensor]  # from x_t (B, C, H, W) and t: what the network was trained to predict


def guided(unet: UNet, labels: Tensor | None, guidance: float) -> Predict:
    """Give the prediction that a sampler follows.

    epsilon = epsilon_none + w (epsilon_class - epsilon_none), with w the guidance: the paper's (eq. 6) with w - 1 for
    its w, as diffusers counts. A network that predicts v is guided alike, since epsilon is affine in v.

    Parameters
    ----------
    unet : UNet
        Called as diffusers' U-Nets are.
    labels : Tensor or None
        Class numbers, shape (B,), on the U-Net's device; None: no class, to which nothing guides.
    guidance : float
        w. At 1, the network runs once a step, else on a batch of twice the size.
    """
    if labels is None or number_of_classes(unet) is None or guidance == 1:
        return lambda x_t, t: apply(unet, x_t, t, labels)
    both = torch.cat([torch.full_like(labels, NO_CLASS), labels])

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        of_none, of_class = apply(unet, torch.cat([x_t, x_t]), t, both).chunk(2)
        return of_none + guidance * (of_class - of_none)

    return predict

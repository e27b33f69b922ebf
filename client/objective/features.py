"""The features that a network makes of its input: its bottleneck's output, averaged over space."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from fedphd.common.network.conditioning import apply
from fedphd.common.training.noise_prediction import Noised


@contextmanager
def bottleneck_features(unet: nn.Module, stop: bool = False) -> Iterator[list[Tensor]]:
    """Collect the features of each forward pass in this context: float32, shape (B, C).

    Parameters
    ----------
    unet : nn.Module
        Any network with a `mid_block` that gives a tensor of shape (B, C, H, W).
    stop : bool
        End each forward pass, and with it the context, at the bottleneck.
    """
    features: list[Tensor] = []

    def collect(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        features.append(output.float().flatten(2).mean(2))
        if stop:
            raise _Reached

    hook = unet.get_submodule("mid_block").register_forward_hook(collect)
    try:
        with suppress(_Reached):
            yield features
    finally:
        hook.remove()


class _Reached(Exception):  # noqa: N818
    """Thrown where the rest of a forward pass would be wasted."""


@torch.no_grad()
def frozen_features(unet: nn.Module, noised: Noised) -> Tensor:
    """Compute the features of a model that is not trained, shape (B, C); its decoder does not run."""
    with bottleneck_features(unet, stop=True) as features:
        apply(unet, noised.x_t, noised.t, noised.labels)
    return features[0]

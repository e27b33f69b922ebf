"""MOON's model-contrastive term, for diffusion.

MOON (Li et al. 2021) contrasts what three models make of the same input: the local model, the one
that the client received and the client's previous local model. Its representation is a classifier's;
in a U-Net we take the bottleneck's output, averaged over space (ours).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedphd.common.training.noise_prediction import Noised


def contrastive_loss(z: Tensor, z_glob: Tensor, z_prev: Tensor, temperature: float) -> Tensor:
    """Draw the local model's features to the received model's, away from the previous one's.

    Li et al. 2021, eq. 3, with the cosine as similarity:
    -log(exp(cos(z, z_glob) / tau) / (exp(cos(z, z_glob) / tau) + exp(cos(z, z_prev) / tau))).

    Parameters
    ----------
    z, z_glob, z_prev : Tensor
        Features of the local, the received and the previous model, shape (B, C).
    temperature : float
        tau.

    Returns
    -------
    Tensor
        The mean over the batch, a scalar.
    """
    # -log(e^a / (e^a + e^b)) = log(1 + e^(b - a))
    return F.softplus((F.cosine_similarity(z, z_prev) - F.cosine_similarity(z, z_glob)) / temperature).mean()


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
        unet(noised.x_t, noised.t)
    return features[0]

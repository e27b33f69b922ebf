"""DDPM's simple loss: predict the noise that was added, or what else `diffusion.prediction` says of it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedphd.common.network.conditioning import apply
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import Distance, each_distance


@dataclass(frozen=True)
class Noised:
    """A batch on its way through the forward process.

    Attributes
    ----------
    x_t : Tensor
        Noised images, shape (B, C, H, W).
    t : Tensor
        Their times from 0 to T - 1, shape (B,).
    target : Tensor
        What the network is to predict from them, shape (B, C, H, W): by default the noise that was added.
    weights : Tensor or None
        How much each image counts in the loss, shape (B,); None: all the same.
    labels : Tensor or None
        The classes that the network is told, shape (B,); None: none.
    """

    x_t: Tensor
    t: Tensor
    target: Tensor
    weights: Tensor | None
    labels: Tensor | None = None


def add_noise(x_0: Tensor, diffusion: Diffusion, labels: Tensor | None = None) -> Noised:
    """Draw a uniform time and standard normal noise for each image, by torch's global generator.

    Parameters
    ----------
    x_0 : Tensor
        Images in [-1, 1], or latents, shape (B, C, H, W).
    diffusion : Diffusion
        The forward process.
    labels : Tensor, optional
        The images' classes, shape (B,), for a network that takes labels.
    """
    t = torch.randint(diffusion.timesteps, (len(x_0),), device=x_0.device)
    epsilon = torch.randn_like(x_0)
    x_t, target = diffusion.add_noise(x_0, epsilon, t), diffusion.target(x_0, epsilon, t)
    return Noised(x_t, t, target, diffusion.weights(t), labels)


def predict(unet: nn.Module, noised: Noised) -> Tensor:
    """Predict the target, by default epsilon_theta(x_t, t): float32, shape (B, C, H, W).

    Parameters
    ----------
    unet : nn.Module
        Called as diffusers' U-Nets are.
    noised : Noised
        What it predicts from.
    """
    return apply(unet, noised.x_t, noised.t, noised.labels).float()


def loss_of(prediction: Tensor, noised: Noised, distance: Distance) -> Tensor:
    """Measure how far a batch's prediction is from its target: a scalar.

    Parameters
    ----------
    prediction : Tensor
        Shape (B, C, H, W).
    noised : Noised
        What it was made from.
    distance : Distance
        Of prediction and target. Where images count differently, it is taken of each image alone, by torch.vmap, and
        the mean of w_i d_i is given.
    """
    if noised.weights is None:
        return distance(prediction, noised.target)
    return (noised.weights * each_distance(distance, prediction, noised.target)).mean()


def simple_loss(
    unet: nn.Module, x_0: Tensor, diffusion: Diffusion, distance: Distance, labels: Tensor | None = None
) -> Tensor:
    """DDPM's simple loss of a batch (Ho et al. 2020, eq. 14), weighted by min-SNR if asked for: a scalar.

    Parameters
    ----------
    unet : nn.Module
        Called as diffusers' U-Nets are.
    x_0 : Tensor
        Images in [-1, 1], or latents, shape (B, C, H, W).
    diffusion : Diffusion
        The forward process.
    distance : Distance
        Of the prediction from the target: the mean squared error in the paper.
    labels : Tensor, optional
        The images' classes, shape (B,), for a network that takes labels.
    """
    noised = add_noise(x_0, diffusion, labels)
    return loss_of(predict(unet, noised), noised, distance)

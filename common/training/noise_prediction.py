"""DDPM's simple loss: predict the noise that was added, or what else `diffusion.prediction` says of it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
    """

    x_t: Tensor
    t: Tensor
    target: Tensor
    weights: Tensor | None


def add_noise(x_0: Tensor, diffusion: Diffusion) -> Noised:
    """Draw a uniform time and standard normal noise for each image, by torch's global generator.

    Parameters
    ----------
    x_0 : Tensor
        Images in [-1, 1], or latents, shape (B, C, H, W).
    diffusion : Diffusion
        The forward process.
    """
    t = torch.randint(diffusion.timesteps, (len(x_0),), device=x_0.device)
    epsilon = torch.randn_like(x_0)
    return Noised(diffusion.add_noise(x_0, epsilon, t), t, diffusion.target(x_0, epsilon, t), diffusion.weights(t))


def predict(unet: nn.Module, noised: Noised) -> Tensor:
    """Predict the target, by default epsilon_theta(x_t, t): float32, shape (B, C, H, W).

    Parameters
    ----------
    unet : nn.Module
        Called as diffusers' U-Nets are.
    noised : Noised
        What it predicts from.
    """
    prediction: Tensor = unet(noised.x_t, noised.t).sample
    return prediction.float()


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


def simple_loss(unet: nn.Module, x_0: Tensor, diffusion: Diffusion, distance: Distance) -> Tensor:
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
    """
    noised = add_noise(x_0, diffusion)
    return loss_of(predict(unet, noised), noised, distance)

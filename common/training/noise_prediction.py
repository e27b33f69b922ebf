"""DDPM's simple loss: predict the noise that was added."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import Distance


@dataclass(frozen=True)
class Noised:
    """A batch on its way through the forward process.

    Attributes
    ----------
    x_t : Tensor
        Noised images, shape (B, C, H, W).
    t : Tensor
        Their times from 0 to T - 1, shape (B,).
    epsilon : Tensor
        The noise that was added, shape (B, C, H, W).
    """

    x_t: Tensor
    t: Tensor
    epsilon: Tensor


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
    return Noised(diffusion.add_noise(x_0, epsilon, t), t, epsilon)


def predict(unet: nn.Module, noised: Noised) -> Tensor:
    """Predict the noise, epsilon_theta(x_t, t): float32, shape (B, C, H, W).

    Parameters
    ----------
    unet : nn.Module
        Predicts epsilon, as diffusers' U-Nets do.
    noised : Noised
        What it predicts from.
    """
    prediction: Tensor = unet(noised.x_t, noised.t).sample
    return prediction.float()


def simple_loss(unet: nn.Module, x_0: Tensor, diffusion: Diffusion, distance: Distance) -> Tensor:
    """DDPM's simple loss of a batch (Ho et al. 2020, eq. 14): a scalar.

    Parameters
    ----------
    unet : nn.Module
        Predicts epsilon, as diffusers' U-Nets do.
    x_0 : Tensor
        Images in [-1, 1], or latents, shape (B, C, H, W).
    diffusion : Diffusion
        The forward process.
    distance : Distance
        Of the prediction from the noise: the mean squared error in the paper.
    """
    noised = add_noise(x_0, diffusion)
    return distance(predict(unet, noised), noised.epsilon)

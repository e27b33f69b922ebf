"""DDPM's simple loss: predict the noise that was added."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedphd.common.training.diffusion import Diffusion

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "huber": F.smooth_l1_loss}


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


def prediction_error(unet: nn.Module, noised: Noised, distance: str) -> Tensor:
    """Measure how far epsilon_theta(x_t, t) is from epsilon, on average: a scalar.

    Parameters
    ----------
    unet : nn.Module
        Predicts epsilon, as diffusers' U-Nets do.
    noised : Noised
        What it predicts from, and what it should predict.
    distance : str
        A name of `LOSSES`.
    """
    return LOSSES[distance](unet(noised.x_t, noised.t).sample.float(), noised.epsilon)


def simple_loss(unet: nn.Module, x_0: Tensor, diffusion: Diffusion, distance: str) -> Tensor:
    """DDPM's simple loss of a batch (Ho et al. 2020, eq. 14): a scalar.

    Parameters
    ----------
    unet : nn.Module
        Predicts epsilon, as diffusers' U-Nets do.
    x_0 : Tensor
        Images in [-1, 1], or latents, shape (B, C, H, W).
    diffusion : Diffusion
        The forward process.
    distance : str
        A name of `LOSSES`: "mse" as in the paper.
    """
    return prediction_error(unet, add_noise(x_0, diffusion), distance)

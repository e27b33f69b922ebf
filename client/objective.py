"""What a client minimises."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor

from common.config import ObjectiveConfig
from common.diffusion import Diffusion

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "huber": F.smooth_l1_loss}


class Objective:
    """DDPM's simple loss (Ho et al. 2020, eq. 14), with FedPhD's sparsity penalty in the sparse rounds.

    Parameters
    ----------
    config : ObjectiveConfig
        Which distance, and the penalty's lambda.
    diffusion : Diffusion
        The forward process.
    sparse : bool
        Whether this is a sparse round, in which the penalty counts.
    """

    def __init__(self, config: ObjectiveConfig, diffusion: Diffusion, sparse: bool) -> None:
        self.distance = LOSSES[config.loss]
        self.diffusion = diffusion
        self.lambda_ = config.sparsity if sparse else 0.0

    def __call__(self, unet: UNet2DModel, x_0: Tensor) -> Tensor:
        """Mean objective of a batch.

        Parameters
        ----------
        unet : UNet2DModel
            Predicts epsilon.
        x_0 : Tensor
            Shape (B, C, H, W), values in [-1, 1].

        Returns
        -------
        Tensor
            A scalar: || epsilon - epsilon_theta(x_t, t) ||^2 + lambda * sum ||W||.
        """
        t = torch.randint(self.diffusion.timesteps, (len(x_0),), device=x_0.device)
        epsilon = torch.randn_like(x_0)
        x_t = self.diffusion.add_noise(x_0, epsilon, t)
        loss = self.distance(unet(x_t, t).sample.float(), epsilon)
        if self.lambda_:
            loss = loss + self.lambda_ * group_norm_penalty(unet)
        return loss


def group_norm_penalty(unet: UNet2DModel) -> Tensor:
    """Sum of the Frobenius norms ||W|| of all weight tensors, as FedPhD's authors' code.

    "Weight" is by name, so the weights of GroupNorm and Linear layers count too; each tensor's norm
    is taken over the whole tensor, not per channel.
    """
    weights = [p for name, p in unet.named_parameters() if "weight" in name and p.requires_grad]
    return torch.stack([torch.linalg.vector_norm(weight) for weight in weights]).sum()

"""What a client minimises."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedphd.client.contrastive import bottleneck_features, contrastive_loss, frozen_features
from fedphd.common.config import ObjectiveConfig
from fedphd.common.errors import SettingError
from fedphd.common.training.compute import to_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.noise_prediction import Noised, add_noise, prediction_error
from fedphd.common.wire.parts import PARTS, Parts, part_of


def needs_received(config: ObjectiveConfig) -> bool:
    """Whether the objective looks at the model that the client received."""
    return config.proximal > 0 or config.contrastive > 0


def needs_previous(config: ObjectiveConfig) -> bool:
    """Whether the objective looks at the client's previous local model."""
    return config.contrastive > 0


class Objective:
    """DDPM's simple loss (Ho et al. 2020, eq. 14) and the terms whose weight is above 0.

    Parameters
    ----------
    config : ObjectiveConfig
        Which distance, and the terms' weights.
    diffusion : Diffusion
        The forward process.
    sparse : bool
        Whether this is a sparse round, in which the group-norm penalty counts.
    received : nn.Module, optional
        A copy of the received model, for the proximal and the contrastive term. Is frozen, in
        evaluation mode: the term compares with one fixed function, so without dropout.
    previous : nn.Module, optional
        A copy of the client's previous local model, for the contrastive term, frozen likewise.
        None in a client's first round, in which there is no contrastive term.
    shared : tuple[str, ...]
        The parts of the network that the proximal term covers: those that travel, since what each
        client keeps for itself has no global model to stay near to.

    Raises
    ------
    ValueError
        If a term needs the received model and it is not given.
    SettingError
        If a contrastive term is asked for of a U-Net without a bottleneck.
    """

    def __init__(
        self,
        config: ObjectiveConfig,
        diffusion: Diffusion,
        sparse: bool,
        received: nn.Module | None = None,
        previous: nn.Module | None = None,
        shared: Parts = PARTS,
    ) -> None:
        if needs_received(config) and received is None:
            raise ValueError("a proximal or contrastive term needs the received model")
        if config.contrastive and getattr(received, "mid_block", None) is None:
            raise SettingError("objective.contrastive", config.contrastive, "needs a U-Net with a bottleneck; use 0")
        self.config = config
        self.shared = shared
        self.diffusion = diffusion
        self.lambda_ = config.sparsity if sparse else 0.0
        self.received = None if received is None else received.eval().requires_grad_(False)
        self.previous = None if previous is None else previous.eval().requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Move the models that it compares with."""
        self.received = None if self.received is None else to_device(self.received, device)
        self.previous = None if self.previous is None else to_device(self.previous, device)

    def __call__(self, unet: nn.Module, x_0: Tensor) -> Tensor:
        """Mean objective of a batch.

        Parameters
        ----------
        unet : nn.Module
            Predicts epsilon.
        x_0 : Tensor
            Shape (B, C, H, W), values in [-1, 1], or latents.

        Returns
        -------
        Tensor
            A scalar: the mean of || epsilon - epsilon_theta(x_t, t) ||^2, or its Huber counterpart, and the terms.
        """
        noised = add_noise(x_0, self.diffusion)
        if self.config.contrastive:
            loss = self._contrasted(unet, noised)
        else:
            loss = prediction_error(unet, noised, self.config.loss)
        if self.lambda_:
            loss = loss + self.lambda_ * group_norm_penalty(unet)
        if self.config.proximal and self.received is not None:
            loss = loss + self.config.proximal / 2 * squared_distance(unet, self.received, self.shared)
        return loss

    def _contrasted(self, unet: nn.Module, noised: Noised) -> Tensor:
        """Add MOON's term to the simple loss, from one forward pass of each model over the same x_t and t."""
        # Features are collected also where nothing is compared: a compiled network is compiled once, hooks and all.
        with bottleneck_features(unet) as features:
            loss = prediction_error(unet, noised, self.config.loss)
        if self.received is None or self.previous is None:
            return loss
        if not features:
            advice = "this process compiled the U-Net before without objective.contrastive; use false"
            raise SettingError("training.compile", True, advice)
        [z] = features
        z_glob, z_prev = frozen_features(self.received, noised), frozen_features(self.previous, noised)
        return loss + self.config.contrastive * contrastive_loss(z, z_glob, z_prev, self.config.temperature)


def squared_distance(unet: nn.Module, received: nn.Module, parts: Parts = PARTS) -> Tensor:
    """||w - w_g||^2 over the parameters of some parts, with w_g those of `received` (Li et al. 2020, eq. 2)."""
    pairs = zip(unet.named_parameters(), received.parameters(), strict=True)
    covered = [(p, p_g) for (name, p), p_g in pairs if parts == PARTS or part_of(name) in parts]
    return torch.stack([F.mse_loss(p, p_g, reduction="sum") for p, p_g in covered]).sum()


def group_norm_penalty(unet: nn.Module) -> Tensor:
    """Sum of the Frobenius norms ||W|| of all weight tensors, as FedPhD's authors' code.

    "Weight" is by name, so the weights of GroupNorm and Linear layers count too; each tensor's norm
    is taken over the whole tensor, not per channel.
    """
    weights = [p for name, p in unet.named_parameters() if "weight" in name and p.requires_grad]
    return torch.stack([torch.linalg.vector_norm(weight) for weight in weights]).sum()

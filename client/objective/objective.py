"""The objective of a training: DDPM's simple loss and the terms that count in it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType

import torch
from torch import Tensor, nn

from fedphd.client.objective.features import bottleneck_features
from fedphd.client.objective.term import Compared, Step, Term
from fedphd.common.data.training_set import Batch
from fedphd.common.errors import SettingError
from fedphd.common.training.compute import to_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import Distance
from fedphd.common.training.noise_prediction import add_noise, loss_of, predict

NO_TERMS: Mapping[str, Term] = MappingProxyType({})


class Objective:
    """DDPM's simple loss (Ho et al. 2020, eq. 14) and terms.

    Parameters
    ----------
    distance : Distance
        Of the prediction from its target, by default the noise.
    diffusion : Diffusion
        The forward process.
    terms : Mapping[str, Term]
        By name, in the order in which they are added.
    compared : Compared
        What the terms compare with. Its models are frozen, in evaluation mode: a term compares with one fixed
        function, so without dropout.

    Raises
    ------
    SettingError
        If a term needs the received model and it is not given, or features that a model does not have.
    """

    def __init__(
        self,
        distance: Distance,
        diffusion: Diffusion,
        terms: Mapping[str, Term] = NO_TERMS,
        compared: Compared = Compared(),  # noqa: B008 (frozen)
    ) -> None:
        for name, term in terms.items():
            if term.needs_received and compared.received is None:
                advice = "needs the received model, of which there is none here; let it not count alone"
                raise SettingError(f"objective.terms.{name}.kind", term.kind, advice)
        self.distance = distance
        self.diffusion = diffusion
        self.terms = terms
        self.compared = compared
        for model in compared.models:
            check_features(terms, model)
            model.eval().requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Move the models that it compares with."""
        for model in self.compared.models:
            to_device(model, device)

    def of_batch(self, unet: nn.Module, batch: Batch) -> Tensor:
        """Mean objective of a batch, as a call gives it."""
        return self(unet, batch.x_0, batch.labels)

    def __call__(self, unet: nn.Module, x_0: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean objective of a batch.

        Parameters
        ----------
        unet : nn.Module
            Called as diffusers' U-Nets are.
        x_0 : Tensor
            Shape (B, C, H, W), values in [-1, 1], or latents.
        labels : Tensor, optional
            The images' classes, shape (B,), for a network that takes labels.

        Returns
        -------
        Tensor
            A scalar: the mean distance of the prediction from its target, and the terms.
        """
        noised = add_noise(x_0, self.diffusion, labels)
        with self._features(unet) as features:
            prediction = predict(unet, noised)
        step = Step(unet, noised, prediction, self.compared, features)
        loss = loss_of(prediction, noised, self.distance)
        for term in self.terms.values():
            value = term.value(step)
            loss = loss if value is None else loss + value
        return loss

    def _features(self, unet: nn.Module) -> AbstractContextManager[list[Tensor]]:
        # Collected also where nothing is compared: a compiled network is compiled once, hooks and all.
        needed = any(term.needs_features for term in self.terms.values())
        return bottleneck_features(unet) if needed else nullcontext([])


def check_features(terms: Mapping[str, Term], unet: nn.Module) -> None:
    """Check that a network has the features that terms need.

    Raises
    ------
    SettingError
        If a term needs them and the network has no bottleneck.
    """
    for name, term in terms.items():
        if term.needs_features and getattr(unet, "mid_block", None) is None:
            advice = "needs a network with a bottleneck, its mid_block; leave the term out, or use another network"
            raise SettingError(f"objective.terms.{name}.kind", term.kind, advice)

"""MOON's model-contrastive term, for diffusion.

MOON (Li et al. 2021) contrasts what three models make of the same input: the local model, the one
that the client received and the client's previous local model. Its representation is a classifier's;
in a U-Net we take the bottleneck's output, averaged over space (ours).
"""

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from fedphd.client.objective.features import frozen_features
from fedphd.client.objective.term import TERMS, Step, Term


@TERMS.register("contrastive")
class Contrastive(Term):
    """MOON's term; mu is the weight, tau the temperature. There is none in a client's first round."""

    needs_received: ClassVar[bool] = True
    needs_features: ClassVar[bool] = True

    keeps_previous: Literal[True]
    temperature: PositiveFloat

    def value(self, step: Step) -> Tensor | None:
        """Compute the term from one forward pass of each model over the same x_t and t."""
        received, previous = step.compared.received, step.compared.previous
        if received is None or previous is None:
            return None
        z, z_glob = step.features, frozen_features(received, step.noised)
        z_prev = frozen_features(previous, step.noised)
        return self.weight * contrastive_loss(z, z_glob, z_prev, self.temperature)


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

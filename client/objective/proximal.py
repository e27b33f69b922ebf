"""The proximal term of FedProx, and of FedDM-prox."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedphd.client.objective.term import TERMS, Step, Term
from fedphd.common.wire.parts import PARTS, Parts, part_of


@TERMS.register("proximal")
class Proximal(Term):
    """mu/2 ||w - w_g||^2, with w_g the model that the client received (Li et al. 2020, eq. 2); mu is the weight."""

    needs_received: ClassVar[bool] = True

    def value(self, step: Step) -> Tensor | None:
        """Compute the term over the parts that travel."""
        received = step.compared.received
        if received is None:
            return None
        return self.weight / 2 * squared_distance(step.unet, received, step.compared.shared)


def squared_distance(unet: nn.Module, received: nn.Module, parts: Parts = PARTS) -> Tensor:
    """||w - w_g||^2 over the parameters of some parts, with w_g those of `received` (Li et al. 2020, eq. 2)."""
    pairs = zip(unet.named_parameters(), received.parameters(), strict=True)
    covered = [(p, p_g) for (name, p), p_g in pairs if parts == PARTS or part_of(name) in parts]
    return torch.stack([F.mse_loss(p, p_g, reduction="sum") for p, p_g in covered]).sum()

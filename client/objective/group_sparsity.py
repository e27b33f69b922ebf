"""FedPhD's penalty, which prepares the network for its pruning."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from fedphd.client.objective.term import TERMS, Step, Term


@TERMS.register("group_sparsity")
class GroupSparsity(Term):
    """lambda * sum ||W|| over all weight tensors, in the sparse rounds; lambda is the weight."""

    in_sparse_rounds_only: ClassVar[bool] = True

    def value(self, step: Step) -> Tensor | None:
        """Compute the penalty of the network as it is."""
        return self.weight * group_norm_penalty(step.unet)


def group_norm_penalty(unet: nn.Module) -> Tensor:
    """Sum of the Frobenius norms ||W|| of all weight tensors, as FedPhD's authors' code.

    "Weight" is by name, so the weights of GroupNorm and Linear layers count too; each tensor's norm
    is taken over the whole tensor, not per channel. The embeddings of classes are left out (ours): no pruning ranks
    by them, and Adam would take a client's steps along the penalty's gradient in the rows of classes that it lacks.
    """
    weights = [
        p
        for name, p in unet.named_parameters()
        if "weight" in name and "class_embedding" not in name and p.requires_grad
    ]
    return torch.stack([torch.linalg.vector_norm(weight) for weight in weights]).sum()

"""How a network came to its structure, and how tensors of the network as it was before come to it too.

So nothing that was trained or kept is lost: a client's own parts, its control variates, what rounding took away lose
the same channels as the network did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from pydantic import TypeAdapter, ValidationError

from fedphd.common.config import ModelConfig
from fedphd.common.network.build import dense_structure
from fedphd.common.network.pruning import Pruning, prune_like
from fedphd.common.network.rebuild import rebuild_unet

_PRUNING: TypeAdapter[Pruning | None] = TypeAdapter(Pruning | None)


@dataclass(frozen=True)
class Lineage:
    """What came between the dense network and the present one: a pruning, or nothing.

    Attributes
    ----------
    pruning : Pruning or None
        What was pruned; None also where nobody can have anything from before.
    """

    pruning: Pruning | None = None

    def to_json(self) -> str:
        """Write as JSON, null where nothing was pruned."""
        return _PRUNING.dump_json(self.pruning).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            return cls(_PRUNING.validate_json(text))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(f"not a pruning: {first['msg']}") from None

    def prune(self, tensors: Mapping[str, torch.Tensor], structure: str, model: ModelConfig) -> dict[str, torch.Tensor]:
        """Prune some tensors of the dense network like the network.

        Parameters
        ----------
        tensors : Mapping[str, Tensor]
            Some of the network's tensors, or what is of their shapes.
        structure : str
            Structure id of the network that they belong to.
        model : ModelConfig
            The network's options.

        Returns
        -------
        dict[str, Tensor]
            The same tensors, narrower. Empty if they do not belong to the network that was pruned.
        """
        dense, pruning = dense_structure(model), self.pruning
        if (
            pruning is None
            or not structure == pruning.structure == dense.id
            or not tensors.keys() <= dense.shapes.keys()
        ):
            return {}
        unet = rebuild_unet(model, dense)
        unet.load_state_dict(unet.state_dict() | dict(tensors))
        pruned = prune_like(unet, pruning).state_dict()
        return {name: pruned[name] for name in tensors}


NO_PRUNING = Lineage()

"""Tensors that belong to the network as it was before a pruning lose the same channels as the network did.

So nothing that was trained or kept is lost: a client's own parts, its control variates, what rounding took away.
"""

from collections.abc import Mapping

import torch
from pydantic import TypeAdapter, ValidationError

from fedphd.common.config import ModelConfig
from fedphd.common.network.build import dense_structure
from fedphd.common.network.pruning import Pruning, prune_like
from fedphd.common.network.rebuild import rebuild_unet

_PRUNING: TypeAdapter[Pruning | None] = TypeAdapter(Pruning | None)


def write_pruning(pruning: Pruning | None) -> str:
    """Write a pruning, or that there was none, as JSON."""
    return _PRUNING.dump_json(pruning).decode()


def read_pruning(text: str) -> Pruning | None:
    """Read what `write_pruning` wrote.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        return _PRUNING.validate_json(text)
    except ValidationError as error:
        raise ValueError(f"not a pruning: {error.errors(include_url=False, include_input=False)[0]['msg']}") from None


def prune_tensors(
    tensors: Mapping[str, torch.Tensor], structure: str, model: ModelConfig, pruning: str
) -> dict[str, torch.Tensor]:
    """Prune some tensors of the dense network like the network.

    Parameters
    ----------
    tensors : Mapping[str, Tensor]
        Some of the network's tensors, or what is of their shapes.
    structure : str
        Structure id of the network that they belong to.
    model : ModelConfig
        The network's options.
    pruning : str
        JSON of the pruning.

    Returns
    -------
    dict[str, Tensor]
        The same tensors, narrower. Empty if they do not belong to the network that was pruned.
    """
    history = read_pruning(pruning)
    dense = dense_structure(model)
    if history is None or not structure == history.structure == dense.id or not tensors.keys() <= dense.shapes.keys():
        return {}
    unet = rebuild_unet(model, dense)
    unet.load_state_dict(unet.state_dict() | dict(tensors))
    pruned = prune_like(unet, history).state_dict()
    return {name: pruned[name] for name in tensors}

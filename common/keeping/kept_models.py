"""Models among the states that a node keeps: all or some tensors of a network."""

from dataclasses import dataclass

import numpy as np
import torch

from fedphd.common.config import ModelConfig
from fedphd.common.keeping.state_store import State, StateStore
from fedphd.common.network.lineage import Lineage
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure


@dataclass(frozen=True)
class Network:
    """The network as it is now, which what was kept must fit.

    Attributes
    ----------
    structure : str
        Id of the whole network's structure.
    model : ModelConfig
        The dense network's options.
    lineage : Lineage
        How it came to its structure.
    """

    structure: str
    model: ModelConfig
    lineage: Lineage


def keep_model(store: StateStore, round: int, model: PackedModel, whole: str) -> None:
    """Write a model as the state after `round`; `whole` is the structure id of the network that it belongs to."""
    store.save(round, {name: torch.from_numpy(np.array(array)) for name, array in model.arrays()}, whole)


def kept_model(state: State, structure: Structure) -> PackedModel:
    """Read the tensors that `structure` names."""
    return PackedModel(
        structure, np.concatenate([state.tensors[name].numpy().ravel() for name, _ in structure.tensors])
    )


def newest_model(
    store: StateStore, round: int, structure: Structure, network: Network, since: int = 0
) -> PackedModel | None:
    """Find the newest model that `round` may start from, pruned like the network; None if there is none.

    Parameters
    ----------
    store, round : StateStore, int
        Where to look, and for which round.
    structure : Structure
        Of the model's tensors.
    network : Network
        The whole network as it is now.
    since : int, optional
        Models after rounds before this one will not do.
    """
    for state in store.restore(round):
        if state.round < since:
            return None
        tensors = state.tensors
        if state.structure != network.structure:
            tensors = network.lineage.prune(tensors, state.structure, network.model)
        if {name: tuple(tensor.shape) for name, tensor in tensors.items()} == structure.shapes:
            return kept_model(State(state.round, tensors, network.structure), structure)
    return None

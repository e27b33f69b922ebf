"""Adam's moments between edge rounds, on the client's own disk.

A client trains for a few steps at a time, in processes that end, perhaps at another edge each time.
Adam's moments need more steps than that to settle, so each client keeps its own (FedPhD's authors'
code shares one Adam among all clients, which no deployment could). `benchmarks/kept_optimizer.py`
compares that with starting anew: on digits, the Fréchet distance after 30 root rounds was 0.74 times
as large (one seed). All edge rounds of a root round start from the moments before it.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from fedphd.common.keeping.state_store import StateStore


class OptimizerStore:
    """The optimizer states of one client.

    Parameters
    ----------
    folder : Path
        The client's own; made when first needed.
    structure : str
        Structure id of the model: states of another structure are never used.
    starts : Sequence[int]
        As `StateStore` takes them, in edge rounds.
    """

    def __init__(self, folder: Path, structure: str, starts: Sequence[int]) -> None:
        self.structure = structure
        self._states = StateStore(folder / "optimizer", starts)
        self._round = starts[-1]

    def restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Load the newest state from before the present root round; without one, start anew."""
        for state in self._states.restore(self._round):
            if state.structure == self.structure:
                fresh = optimizer.state_dict()
                fresh["state"] = _unflatten(state.tensors)
                optimizer.load_state_dict(fresh)
                _match_layouts(optimizer)
                return

    def save(self, optimizer: torch.optim.Optimizer, edge_round: int) -> None:
        """Write the state after `edge_round`."""
        self._states.save(edge_round, _flatten(optimizer.state_dict()["state"]), self.structure)


def _match_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Give moments the memory layout of their parameter: channels-last on a GPU; fused Adam takes it for granted."""
    for parameter, own in optimizer.state.items():
        for key, value in own.items():
            if value.shape == parameter.shape:
                own[key] = torch.empty_like(parameter).copy_(value)


def _flatten(state: dict[int, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{index}.{key}": value for index, own in state.items() for key, value in own.items()}


def _unflatten(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return state

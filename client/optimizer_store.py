"""Adam's moments between edge rounds, on the client's own disk.

A client trains for a few steps at a time, in processes that end, perhaps at another edge each time.
Adam's moments need more steps than that to settle, so each client keeps its own (FedPhD's authors'
code shares one Adam among all clients, which no deployment could). `benchmarks/kept_optimizer.py`
compares that with starting anew: on digits, the Fréchet distance after 30 root rounds was 0.74 times
as large (one seed).

A client that has several homes may be asked by two edges in the same root round, in an order that
depends on their speed. So an edge round starts from the newest state of an *earlier root round*, in
which all edges were done: then the same run makes the same moments, and a client that is asked twice
for an edge round, because its answer was lost or the root went back to a checkpoint, answers the same.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from common.private_files import write_private

TORN_AFTER = 3600.0  # seconds after which nobody can still be writing a draft


class OptimizerStore:
    """The optimizer states of one client.

    Parameters
    ----------
    folder : Path
        The client's own; made when first needed.
    structure : str
        Structure id of the model: states of another structure are never used.
    starts : Sequence[int]
        The first edge rounds of the root rounds that states must be kept for: those after each of
        the checkpoints that the root keeps, and the present root round's, which is the last.
    """

    def __init__(self, folder: Path, structure: str, starts: Sequence[int]) -> None:
        self.folder = folder / "optimizer"
        self.structure = structure
        self.starts = starts

    def restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Load the newest state from before the present root round; without one, start anew.

        A state that cannot be read is passed over: it is worth a few steps, not a failed round.
        """
        earlier = [file for file in self._files() if self._edge_round(file) < max(self.starts)]
        for file in reversed(earlier):
            if file.name.endswith(self._suffix):
                try:
                    state = load_file(file)
                except (SafetensorError, OSError):
                    continue
                fresh = optimizer.state_dict()
                fresh["state"] = _unflatten(state)
                optimizer.load_state_dict(fresh)
                _match_layouts(optimizer)
                return

    def save(self, optimizer: torch.optim.Optimizer, edge_round: int) -> None:
        """Write the state after `edge_round`, atomically, and forget the ones that nobody can ask for again."""
        write_private(self.folder / f"{edge_round:08d}{self._suffix}", save(_flatten(optimizer.state_dict()["state"])))
        for draft in self.folder.glob(".*.draft"):
            with suppress(FileNotFoundError):  # another home's process may be writing or removing it
                if time.time() - draft.stat().st_mtime > TORN_AFTER:  # of a process that was killed
                    draft.unlink()
        for file in set(self._files()) - self._needed(edge_round):
            file.unlink(missing_ok=True)

    def _needed(self, edge_round: int) -> set[Path]:
        """Pick the newest state from before each start, and this edge round's with all later ones.

        Another edge may have had its answer for a later edge round already.
        """
        files = self._files()
        before = [[file for file in files if self._edge_round(file) < start][-1:] for start in self.starts]
        return {*chain.from_iterable(before), *(file for file in files if self._edge_round(file) >= edge_round)}

    @property
    def _suffix(self) -> str:
        return f"_{self.structure}.safetensors"

    def _files(self) -> list[Path]:
        """All states, of any structure, oldest first."""
        return sorted(self.folder.glob("*.safetensors"))

    @staticmethod
    def _edge_round(file: Path) -> int:
        return int(file.stem.partition("_")[0])


def _match_layouts(optimizer: torch.optim.Optimizer) -> None:
    """Give moments the memory layout of their parameter: channels-last on a GPU; fused Adam takes it for granted."""
    for parameter, own in optimizer.state.items():
        for key, value in own.items():
            if value.shape == parameter.shape:
                own[key] = torch.empty_like(parameter).copy_(value)


def _flatten(state: dict[int, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {f"{index}.{key}": value.contiguous() for index, own in state.items() for key, value in own.items()}


def _unflatten(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return state

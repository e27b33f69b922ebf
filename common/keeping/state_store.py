"""What a client or an edge keeps from round to round, on its own disk, one file for each round's state.

A message may be sent again, and a resumed root goes back to a checkpoint. So a round never starts from the newest
state but from the newest *earlier* one, and states stay for as long as somebody can ask for a round after them: then
the same run makes the same states, whatever was lost.

A client that has several homes may be asked by two edges in the same root round, in an order that depends on their
speed. So its edge round starts from a state of the same edge, whose edge rounds follow each other, or from one of an
*earlier root round*, in which all edges were done.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from fedphd.common.config import CheckpointConfig
from fedphd.common.keeping.private_files import write_private

log = logging.getLogger(__name__)

TORN_AFTER = 3600.0  # seconds after which nobody can still be writing a draft


@dataclass(frozen=True)
class State:
    """The state after a round: named tensors, and the id of the network's structure that they belong to."""

    round: int
    tensors: dict[str, torch.Tensor]
    structure: str


class StateStore:
    """States of one kind.

    Parameters
    ----------
    folder : Path
        Takes the files; made when first needed.
    starts : Sequence[int]
        The first rounds after each point to which the run may go back; the last is the present root round's.
    source : str, optional
        Whose rounds follow each other (an edge's name): its states of the present root round may be used too.

    Raises
    ------
    ValueError
        If the source cannot be a part of a file's name.
    """

    def __init__(self, folder: Path, starts: Sequence[int], source: str = "") -> None:
        if "." in source or Path(source).name != source:
            raise ValueError(f"a source names files; it cannot be {source!r}")
        self.folder = folder
        self.starts = starts
        self.source = source

    def restore(self, round: int) -> Iterator[State]:
        """Yield the states that `round` may start from, the newest first.

        One that cannot be read is passed over, with a warning: the caller starts from the one before, or anew.
        """
        for file in reversed(self._files()):
            if self._is_before(file, round) and (tensors := _read(file)) is not None:
                yield State(_round(file), tensors, file.name.split(".")[2])

    def save(self, round: int, state: Mapping[str, torch.Tensor], structure: str) -> None:
        """Write the state after `round`, atomically, and forget the ones that nobody can ask for again."""
        contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
        write_private(self.folder / f"{round:08d}.{self.source}.{structure}.safetensors", save(contiguous))
        for draft in self.folder.glob(".*.draft"):
            with suppress(FileNotFoundError):  # another process may be writing or removing it
                if time.time() - draft.stat().st_mtime > TORN_AFTER:  # of a process that was killed
                    draft.unlink()
        for file in set(self._files()) - self._needed(round):
            file.unlink(missing_ok=True)

    def drop(self, first: int, end: int) -> None:
        """Forget the states after the rounds `first` to `end` - 1, which are to count as never made."""
        for file in self._files():
            if first <= _round(file) < end:
                file.unlink(missing_ok=True)

    def _is_before(self, file: Path, round: int) -> bool:
        own = bool(self.source) and file.name.split(".")[1] == self.source
        return _round(file) < (round if own else self.starts[-1])

    def _needed(self, round: int) -> set[Path]:
        """Pick the newest state from before each start, and this round's with all later ones.

        Another edge may have had its answer for a later round already. Where an edge's rounds follow each other,
        all of the present root round's stay.
        """
        files = self._files()
        before = [[file for file in files if _round(file) < start][-1:] for start in self.starts]
        first = self.starts[-1] if self.source else round
        return {*chain.from_iterable(before), *(file for file in files if _round(file) >= min(first, round))}

    def _files(self) -> list[Path]:
        """All states, oldest first."""
        return sorted(self.folder.glob("*.safetensors"))


def restarts(checkpoint: CheckpointConfig, root_round: int) -> list[int]:
    """List the root rounds that may be asked for in or after `root_round`: after each kept checkpoint, and itself."""
    newest = (root_round - 1) // checkpoint.every
    kept = range(max(newest - checkpoint.keep + 1, 0), newest + 1)
    return [*(number * checkpoint.every + 1 for number in kept), root_round]


def _read(file: Path) -> dict[str, torch.Tensor] | None:
    """Read a state; None if it is damaged, or another process has just removed it."""
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
        return tensors
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        log.warning("%s is damaged (%s); going on without it", file, error)
        return None


def _round(file: Path) -> int:
    return int(file.name.split(".")[0])

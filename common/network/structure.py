"""A network's structure: the names and shapes of its tensors, and nothing else.

A pruned U-Net is described by these alone (no pickle, no replay of the pruning). The structure id
travels with every message; models of different structures are never averaged.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Self

from fedphd.common.errors import FedPhDError

Shape = tuple[int, ...]


class StructureError(FedPhDError):
    """A structure that the configured U-Net cannot have, or that is not the expected one."""


@dataclass(frozen=True)
class Structure:
    """Names and shapes of a network's tensors, in the order in which they are packed."""

    tensors: tuple[tuple[str, Shape], ...]

    @classmethod
    def of(cls, state: Mapping[str, object]) -> Self:
        """Read the structure of a state dict of tensors or arrays."""
        return cls(tuple((name, tuple(tensor.shape)) for name, tensor in state.items()))  # type: ignore[attr-defined]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back `to_json`.

        Raises
        ------
        ValueError
            If the text is not a list of [name, [positive sizes]] with distinct names.
        """
        try:
            entries = json.loads(text)
        except RecursionError:
            raise ValueError("a structure must not be nested so deep") from None
        if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
            raise ValueError("a structure must be a list of [name, [positive sizes]]")
        if len({name for name, _ in entries}) != len(entries):
            raise ValueError("a structure must not name a tensor twice")
        return cls(tuple((name, tuple(shape)) for name, shape in entries))

    def to_json(self) -> str:
        """Render as compact JSON text."""
        return json.dumps(self.tensors, separators=(",", ":"))

    @cached_property
    def id(self) -> str:
        """The structure id: 16 hex digits of the SHA-256 of names and shapes."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @cached_property
    def size(self) -> int:
        """Number of scalars in all tensors together."""
        return sum(prod(shape) for _, shape in self.tensors)

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes by name."""
        return dict(self.tensors)


def _is_entry(entry: object) -> bool:
    match entry:
        case [str(), [*sizes]]:
            return all(type(size) is int and size > 0 for size in sizes)
        case _:
            return False

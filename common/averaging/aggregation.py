"""Weighted averages of model vectors, summed in a fixed order and in constant memory.

Floating-point sums depend on their order. So that a run does not depend on who answers first,
members are added in an order that is fixed before the first one arrives; a member that arrives
before its turn waits on disk.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedphd.common.errors import FedPhDError
from fedphd.common.network.packing import Vector


class WeightError(FedPhDError):
    """An average whose weights sum to zero."""


class OrderedAverage:
    """The average sum_k u_k w_k / sum_k u_k of vectors w_k with weights u_k.

    The sum runs in float64, where products of float32 numbers with whole weights below 2^29 are
    exact: identical members average to themselves bit for bit. Memory is two float64 vectors and the
    member at hand, however many members there are.

    Parameters
    ----------
    order : Sequence[str]
        Keys of all members that may come, in the order of summation.
    spool : Path
        Folder for early members; made when first needed.

    Raises
    ------
    ValueError
        If a key is in the order twice.
    """

    def __init__(self, order: Sequence[str], spool: Path) -> None:
        if len(set(order)) < len(order):
            raise ValueError("a member must not be awaited twice")
        self._order = list(order)
        self._spool = spool
        self._next = 0
        self._waiting: dict[str, float] = {}
        self._sum: NDArray[np.float64] | None = None
        self.total_weight = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for key in self._waiting:
            self._file(key).unlink(missing_ok=True)
        self._waiting.clear()

    def add(self, key: str, vector: Vector, weight: float) -> None:
        """Count a member in, now if it is its turn, else when its turn comes.

        Raises
        ------
        KeyError
            If the key is not in the order, or its turn is over (each member counts once).
        """
        if key not in self._order[self._next :] or key in self._waiting:
            raise KeyError(f"'{key}' is not awaited")
        if key == self._order[self._next]:
            self._fold(vector, weight)
            self._next += 1
            self._fold_waiting()
        else:
            self._spool.mkdir(parents=True, exist_ok=True)
            np.save(self._file(key), vector)
            self._waiting[key] = weight

    def result(self) -> Vector:
        """Average all members that came, the ones still on disk included.

        Raises
        ------
        WeightError
            If none came, or all weigh nothing.
        """
        self._fold_rest()
        if self._sum is None or self.total_weight <= 0:
            raise WeightError(
                "nothing to average: no member has a weight above zero; raise weighting.*.b if it is negative"
            )
        return (self._sum / self.total_weight).astype(np.float32)

    def sum(self) -> Vector | None:
        """Give sum_k u_k w_k over all members that came; None if none did."""
        self._fold_rest()
        return None if self._sum is None else self._sum.astype(np.float32)

    def _fold_rest(self) -> None:
        for key in self._order[self._next :]:
            if key in self._waiting:
                self._fold(*self._take(key))
        self._next = len(self._order)

    def _fold_waiting(self) -> None:
        while self._next < len(self._order) and self._order[self._next] in self._waiting:
            self._fold(*self._take(self._order[self._next]))
            self._next += 1

    def _fold(self, vector: Vector, weight: float) -> None:
        self.total_weight += weight
        term = np.multiply(vector, weight, dtype=np.float64)
        self._sum = term if self._sum is None else np.add(self._sum, term, out=self._sum)

    def _take(self, key: str) -> tuple[Vector, float]:
        file = self._file(key)
        vector: Vector = np.load(file)
        file.unlink()
        return vector, self._waiting.pop(key)

    def _file(self, key: str) -> Path:
        return self._spool / f"{self._order.index(key)}.npy"

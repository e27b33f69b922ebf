"""The average of an edge round, part by part over the clients that reported it."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from fedphd.common.averaging.aggregation import OrderedAverage
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.exchange import Exchange
from fedphd.common.wire.parts import Parts, restrict


class PartsAverage:
    """Averages what clients report; a context manager, which removes its files.

    Parameters
    ----------
    exchange : Exchange
        Says which parts are averaged together.
    reports : Mapping[str, tuple[str, ...]]
        The parts that each client is to report, in the order of summation.
    spool : Path
        Folder for updates that come before their turn.
    """

    def __init__(self, exchange: Exchange, reports: Mapping[str, Parts], spool: Path) -> None:
        self._averages: dict[Parts, OrderedAverage] = {}
        for group in exchange.averages:
            members = [client for client, parts in reports.items() if set(group) <= set(parts)]
            self._averages[group] = OrderedAverage(members, spool / "-".join(group))
        self._members: dict[Parts, int] = dict.fromkeys(self._averages, 0)
        self._reports = reports
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for average in self._averages.values():
            self._stack.enter_context(average)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, client: str, model: PackedModel, weight: float) -> None:
        """Count a client's parts in.

        Parameters
        ----------
        client : str
            Who reports; each client counts once.
        model : PackedModel
            The reported parts.
        weight : float
            Of the client.
        """
        for group, average in self._averages.items():
            if set(group) <= set(self._reports[client]):
                average.add(client, model.select(restrict(model.structure, group)).vector, weight)
                self._members[group] += 1

    def result(self, before: PackedModel) -> PackedModel:
        """Replace the averaged parts of `before`; a part that nobody reported stays.

        Raises
        ------
        WeightError
            If all members of an average weigh nothing.
        """
        model = before
        for group, average in self._averages.items():
            if self._members[group]:
                model = model.overlay(PackedModel(restrict(before.structure, group), average.result()))
        return model

    def sum(self, structure: Structure) -> PackedModel | None:
        """Sum what the members gave, weighted; None if nobody gave anything.

        Parameters
        ----------
        structure : Structure
            Of all parts that travel; what nobody gave is zero.
        """
        if not any(self._members.values()):
            return None
        model = PackedModel.zeros(structure)
        for group, average in self._averages.items():
            vector = average.sum()
            if vector is not None:
                model = model.overlay(PackedModel(restrict(structure, group), vector))
        return model

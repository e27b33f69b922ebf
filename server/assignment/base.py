"""What a way of choosing edges for the participants of an edge round says of itself."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.common.choices import Choice, Choices
from fedphd.server.registry import Registry

Assignment = dict[str, list[str]]  # edge -> its clients in one edge round


class AssignmentRule(Choice):
    """How clients come to their edges.

    Attributes
    ----------
    by_labels : bool
        Whether the choice depends on what clients tell of their labels.
    """

    by_labels: ClassVar[bool] = False

    @abstractmethod
    def place(
        self,
        participants: Sequence[str],
        registry: Registry,
        states: Mapping[str, LabelState],
        rng: np.random.Generator,
    ) -> Assignment:
        """Place all participants of an edge round, each at one of its homes.

        Parameters
        ----------
        participants : Sequence[str]
            Ids of the clients that train, in the order of the registry.
        registry : Registry
            Clients, their label distributions and homes.
        states : Mapping[str, LabelState]
            (q_e, n_e) of each edge, before the edge round.
        rng : Generator
            All randomness comes from it.

        Returns
        -------
        Assignment
            Every edge with its clients; both in the order of the registry.
        """


class ClientRule(AssignmentRule):
    """Places each participant by itself: none sees where the others of its edge round go."""

    def place(
        self,
        participants: Sequence[str],
        registry: Registry,
        states: Mapping[str, LabelState],
        rng: np.random.Generator,
    ) -> Assignment:
        """Choose for one after the other, against the same states, as in FedPhD's authors' code."""
        assignment: Assignment = {edge: [] for edge in registry.nodes}
        for client in participants:
            assignment[self.choose(client, registry, states, rng)].append(client)
        return assignment

    @abstractmethod
    def choose(
        self, client: str, registry: Registry, states: Mapping[str, LabelState], rng: np.random.Generator
    ) -> str:
        """Choose one of a client's homes for an edge round.

        Parameters
        ----------
        client : str
            The client's id.
        registry : Registry
            Clients, their label distributions and homes.
        states : Mapping[str, LabelState]
            (q_e, n_e) of each edge, before the edge round.
        rng : Generator
            All randomness comes from it.
        """


ASSIGNMENTS = Choices("assignment", AssignmentRule, lenient=True)  # type: ignore[type-abstract]

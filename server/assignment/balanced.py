"""Edges as homogeneous as the participants allow: solved for, not drawn."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.server.assignment.base import ASSIGNMENTS, Assignment, AssignmentRule
from fedphd.server.assignment.even_shares import even_shares
from fedphd.server.registry import Registry


@ASSIGNMENTS.register("balanced")
class BalancedAssignment(AssignmentRule):
    """All participants of an edge round at once, so that every edge gets an equal share of every class.

    Ours, for FedPhD's aim: its draw lets each client choose without knowing of the others in its edge round. What an
    edge has trained on in the root round so far counts with what it gets now.
    """

    by_labels: ClassVar[bool] = True

    def place(
        self,
        participants: Sequence[str],
        registry: Registry,
        states: Mapping[str, LabelState],
        rng: np.random.Generator,
    ) -> Assignment:
        """Share the participants out by `even_shares`; `rng` orders what is equally good."""
        order = [str(client) for client in rng.permutation(list(participants))]
        edges = [str(edge) for edge in rng.permutation(list(registry.nodes))]
        held = np.array([states[edge].n * states[edge].q for edge in edges])
        images = np.array([registry.profiles[client].samples * registry.distribution(client) for client in order])
        reach = np.array([[edge in registry.homes[client] for edge in edges] for client in order])
        chosen = dict(zip(order, even_shares(held, images, reach, rng), strict=True))
        return {edge: [client for client in participants if edges[chosen[client]] == edge] for edge in registry.nodes}

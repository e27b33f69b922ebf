"""What a way of choosing edges says of itself."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.common.choices import Choice, Choices
from fedphd.server.registry import Registry


class AssignmentRule(Choice):
    """How a client comes to its edge.

    Attributes
    ----------
    by_labels : bool
        Whether the choice depends on what clients tell of their labels.
    """

    by_labels: ClassVar[bool] = False

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


ASSIGNMENTS = Choices("assignment", AssignmentRule)  # type: ignore[type-abstract]

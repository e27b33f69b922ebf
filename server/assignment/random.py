"""Every client at a home drawn uniformly, anew for each edge round."""

from collections.abc import Mapping

import numpy as np

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.server.assignment.base import ASSIGNMENTS, ClientRule
from fedphd.server.registry import Registry


@ASSIGNMENTS.register("random")
class RandomAssignment(ClientRule):
    """Every client at a home drawn uniformly."""

    def choose(
        self, client: str, registry: Registry, _states: Mapping[str, LabelState], rng: np.random.Generator
    ) -> str:
        """Draw a home."""
        return str(rng.choice(registry.homes[client]))

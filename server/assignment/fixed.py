"""Every client at its first home, always."""

from collections.abc import Mapping

import numpy as np

from fedphd.common.averaging.homogeneity import LabelState
from fedphd.server.assignment.base import ASSIGNMENTS, ClientRule
from fedphd.server.registry import Registry


@ASSIGNMENTS.register("fixed")
class FixedAssignment(ClientRule):
    """Every client at its first home."""

    def choose(
        self, client: str, registry: Registry, _states: Mapping[str, LabelState], _rng: np.random.Generator
    ) -> str:
        """Give the first home."""
        return registry.homes[client][0]

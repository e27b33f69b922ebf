"""Random equal shares."""

import numpy as np

from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng
from fedphd.common.data.partitions.dealing import deal, equal


@PARTITIONS.register("iid")
class IID(Partition):
    """Random shares whose sizes differ by at most one."""

    def draw(self, labels: Indices, _num_classes: int, clients: int, rng: Rng) -> list[Indices]:
        """Shuffle and cut."""
        return deal(np.arange(len(labels)), equal(len(labels), clients), rng)

"""Random equal shares."""

import numpy as np

from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng
from fedphd.common.data.partitions.dealing import deal, equal
from fedphd.common.data.partitions.published import Draw, even


@PARTITIONS.register("iid")
class IID(Partition):
    """Random shares whose sizes differ by at most one.

    Attributes
    ----------
    draw : {"seeded", "published"}
        By the run's seed, or as FedDiffuse's authors drew theirs.
    """

    draw: Draw = "seeded"

    def split(self, labels: Indices, _num_classes: int, clients: int, rng: Rng) -> list[Indices]:
        """Shuffle and cut."""
        if self.draw == "published":
            return even(len(labels), clients)
        return deal(np.arange(len(labels)), equal(len(labels), clients), rng)

"""Quantity skew: clients have different numbers of images."""

import numpy as np

from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng
from fedphd.common.data.partitions.dealing import cut, deal, until
from fedphd.common.data.partitions.dirichlet import Alpha


@PARTITIONS.register("quantity")
class Quantity(Partition):
    """The clients' sizes are drawn from Dirichlet(alpha): NIID-Bench's quantity skew (Li et al. 2022)."""

    alpha: Alpha

    def draw(self, labels: Indices, _num_classes: int, clients: int, rng: Rng) -> list[Indices]:
        """Draw the sizes, again until each client has `min_samples` images, then the images."""
        concentration = np.full(clients, self.alpha)
        total = len(labels)
        sizes = until(lambda: cut(total, rng.dirichlet(concentration)), self.min_samples, clients, self.alpha)
        return deal(np.arange(total), sizes, rng)

"""Quantity skew: clients have different numbers of images."""

import numpy as np

from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng
from fedphd.common.data.partitions.dealing import cut, deal, until
from fedphd.common.data.partitions.dirichlet import Alpha
from fedphd.common.data.partitions.published import Draw, quantity_skew


@PARTITIONS.register("quantity")
class Quantity(Partition):
    """The clients' sizes are drawn from Dirichlet(alpha): NIID-Bench's quantity skew (Li et al. 2022).

    Attributes
    ----------
    alpha : float
        Concentration; smaller is more skewed.
    draw : {"seeded", "published"}
        By the run's seed, or as FedDiffuse's authors drew theirs.
    """

    alpha: Alpha
    draw: Draw = "seeded"

    def split(self, labels: Indices, _num_classes: int, clients: int, rng: Rng) -> list[Indices]:
        """Draw the sizes, again until each client has `min_samples` images, then the images."""
        total = len(labels)
        if self.draw == "published":
            return quantity_skew(total, clients, self.alpha, self.min_samples)
        concentration = np.full(clients, self.alpha)
        sizes = until(
            lambda: cut(total, rng.dirichlet(concentration)),
            lambda drawn: drawn,
            self.min_samples,
            clients,
            self.alpha,
        )
        return deal(np.arange(total), sizes, rng)

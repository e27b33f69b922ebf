"""Label skew: each class is spread unevenly over the clients."""

from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, PositiveFloat

from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng
from fedphd.common.data.partitions.dealing import Counts, cut, deal_classes, until
from fedphd.common.data.partitions.published import Draw, label_skew
from fedphd.common.errors import SettingError


def _given(alpha: object) -> object:
    if alpha is None:
        advice = "give the Dirichlet concentration, e.g. 0.5; smaller is more skewed"
        raise SettingError("partition.alpha", None, advice)
    return alpha


Alpha = Annotated[PositiveFloat, BeforeValidator(_given)]


@PARTITIONS.register("dirichlet")
class Dirichlet(Partition):
    """Each class's spread is drawn from Dirichlet(alpha): NIID-Bench's distribution-based label imbalance.

    Attributes
    ----------
    alpha : float
        Concentration; smaller is more skewed.
    draw : {"seeded", "published"}
        By the run's seed, or as FedDiffuse's authors drew theirs.
    """

    alpha: Alpha
    draw: Draw = "seeded"

    def split(self, labels: Indices, num_classes: int, clients: int, rng: Rng) -> list[Indices]:
        """Draw the counts, again until each client has `min_samples` images, then the images.

        Raises
        ------
        SettingError
            If there is but one class.
        """
        if num_classes == 1:
            raise SettingError(
                "partition", self.kind, "spreads classes, and the images are of one; use iid or quantity"
            )
        if self.draw == "published":
            return label_skew(labels, num_classes, clients, self.alpha, self.min_samples)
        class_sizes = np.bincount(labels, minlength=num_classes)
        counts = until(
            lambda: self._counts(class_sizes, clients, rng),
            lambda drawn: drawn.sum(axis=1),
            self.min_samples,
            clients,
            self.alpha,
        )
        return deal_classes(labels, counts, rng)

    def _counts(self, class_sizes: Counts, clients: int, rng: Rng) -> Counts | None:
        """Count each client's images of each class, shape (clients, classes); None if a class finds no client.

        As in the benchmark's code (Li et al. 2022; the choice of FedDiffuse, too), a client that already
        has N / K images gets none of the next class.
        """
        mean = class_sizes.sum() / clients
        counts = np.zeros((clients, len(class_sizes)), np.int64)
        for number in np.flatnonzero(class_sizes):
            shares = rng.dirichlet(np.full(clients, self.alpha))
            shares[counts.sum(axis=1) >= mean] = 0
            if shares.sum() == 0:  # a tiny alpha gave all to clients that are full
                return None
            counts[:, number] = cut(class_sizes[number], shares / shares.sum())
        return counts

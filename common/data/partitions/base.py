"""What a scheme says of itself, and its draw for one run."""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from fedphd.common.choices import Choice, Choices
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng

Indices = NDArray[np.int64]
Rng = np.random.Generator


class Partition(Choice):
    """Gives every image to exactly one client.

    Attributes
    ----------
    splits : bool
        Whether there is one set of images to split; if not, each client has images of its own.
    min_samples : int
        Fewest images of a client, those that it holds out among them.
    holdout : float
        Share of each client's own images that it never trains on, and measures the model with.
    """

    splits: ClassVar[bool] = True

    min_samples: PositiveInt = 1
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @abstractmethod
    def split(self, labels: Indices, num_classes: int, clients: int, rng: Rng) -> list[Indices]:
        """Split the images.

        Parameters
        ----------
        labels : NDArray[int64]
            Class of each image, shape (N,), values 0 to `num_classes` - 1.
        num_classes : int
            Number of classes.
        clients : int
            Number of clients K.
        rng : Generator
            All randomness comes from it.

        Returns
        -------
        list[NDArray[int64]]
            For each client the indices of its images, ascending.

        Raises
        ------
        SettingError
            If the scheme cannot serve so many clients.
        """


# Lenient: a rendered deployment gives its partition's options before the user may choose another.
PARTITIONS = Choices("partition", Partition, lenient=True)  # type: ignore[type-abstract]


def partition(labels: Indices, num_classes: int, scheme: Partition, clients: int, seed: int) -> list[Indices]:
    """Draw the partition of a run.

    Parameters
    ----------
    labels, num_classes, clients
        As for `Partition.split`.
    scheme : Partition
        The scheme.
    seed : int
        The run's seed.

    Returns
    -------
    list[NDArray[int64]]
        For each client the indices of its images, ascending.

    Raises
    ------
    SettingError
        If there are too few images, or the scheme cannot serve so many clients.
    """
    least = scheme.min_samples
    if len(labels) < clients * least:
        advice = f"{len(labels)} images are too few for partition.min_samples={least} at each client"
        raise SettingError("topology.clients", clients, f"{advice}; use at most {len(labels) // least} clients")
    parts = scheme.split(labels, num_classes, clients, numpy_rng(seed, "partition", scheme.kind))
    smallest = min(map(len, parts))
    if smallest < least:  # schemes that do not draw sizes cannot draw again
        raise SettingError(
            "partition.min_samples", least, f"a client would have {smallest} images; use at most {smallest}"
        )
    return parts

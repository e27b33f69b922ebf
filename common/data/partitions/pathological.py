"""Each client holds few classes: the FedPhD authors' schemes."""

from math import gcd
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, PositiveInt

from fedphd.common.data.partitions.base import PARTITIONS, Indices, Partition, Rng
from fedphd.common.data.partitions.dealing import Counts, deal_classes, equal
from fedphd.common.errors import SettingError


def _given(held: object) -> object:
    if held is None:
        advice = "say how many classes each client holds, e.g. 2"
        raise SettingError("partition.classes_per_client", None, advice)
    return held


@PARTITIONS.register("pathological")
class Pathological(Partition):
    """Each client holds so many classes."""

    classes_per_client: Annotated[PositiveInt, BeforeValidator(_given)]

    def split(self, labels: Indices, num_classes: int, clients: int, rng: Rng) -> list[Indices]:
        """Count by the scheme, then draw which images these are."""
        class_sizes = np.bincount(labels, minlength=num_classes)
        held = self.classes_per_client
        counts = _one_class(class_sizes, clients) if held == 1 else _few_classes(class_sizes, held, clients)
        return deal_classes(labels, counts, rng)


def _few_classes(class_sizes: Counts, held: int, clients: int) -> Counts:
    """Count images for the FedPhD authors' CIFAR-10 scheme (their code, cifar10.py).

    Of C classes, class i goes in equal chunks to the clients (i * m + j) mod K, j = 0 .. m - 1, with
    m = K * classes_per_client / C, which must be whole, or some clients would hold fewer classes.
    Where chunks cannot be equal, theirs leave images out, and ours differ by one.
    """
    per_class = _clients_per_class(class_sizes, held, clients)
    counts = np.zeros((clients, len(class_sizes)), np.int64)
    for number, size in enumerate(class_sizes):
        counts[(number * per_class + np.arange(per_class)) % clients, number] = equal(int(size), per_class)
    return counts


def _clients_per_class(class_sizes: Counts, held: int, clients: int) -> int:
    classes = len(class_sizes)
    if held > classes:
        one = "the images are of one class; use partition=iid or quantity"
        advice = one if classes == 1 else f"the images have {classes} classes; use 1 to {classes}"
        raise SettingError("partition.classes_per_client", held, advice)
    if clients * held % classes:
        multiple = classes // gcd(classes, held)
        advice = (
            f"cannot hold exactly {held} of {classes} classes each; use a multiple of {multiple}, "
            "or partition=iid or dirichlet"
        )
        raise SettingError("topology.clients", clients, advice)
    per_class, scarce = clients * held // classes, int(np.argmin(class_sizes))
    if class_sizes[scarce] < per_class:
        advice = f"class {scarce} has {class_sizes[scarce]} images for {per_class} clients"
        raise SettingError("topology.clients", clients, f"{advice}; use fewer, or partition=iid or dirichlet")
    return per_class


def _one_class(class_sizes: Counts, clients: int) -> Counts:
    """Count images for the FedPhD authors' CelebA scheme (their code, celeba.py): one class per client.

    A class with a share s of the images gets ceil(K * s) clients, one after the other; then the
    class with the most clients (the first of several) gives one up until there are K. In whole
    numbers the ceilings never add up to less than K, so the authors' opposite step has no case.
    Chunks are equal, and the last client of a class takes the rest.
    """
    present = np.count_nonzero(class_sizes)
    if clients < present:
        raise SettingError(
            "topology.clients",
            clients,
            f"with one class per client, {present} classes need as many clients; use at least {present}",
        )
    holders = -(-clients * class_sizes // class_sizes.sum())
    while holders.sum() > clients:
        holders[np.argmax(holders)] -= 1
    counts = np.zeros((clients, len(class_sizes)), np.int64)
    first = 0
    for number in np.flatnonzero(class_sizes):
        chunk, rest = divmod(class_sizes[number], holders[number])
        last = first + holders[number] - 1
        counts[first : last + 1, number] = chunk
        counts[last, number] += rest
        first = last + 1
    return counts

"""Which client holds which images.

The draws are NumPy's and not those of `flwr_datasets`: of its partitioners only the Dirichlet one
does what the papers do, and it costs each process 1.3 s, 215 MiB and a HuggingFace dataset (the
tests compare with it).

A kind that looks at classes says how many images of each class every client gets; a kind that does
not, how many images. Which images these are is always drawn at random.
"""

from math import gcd

import numpy as np
from numpy.typing import NDArray

from fedphd.common.config import PartitionConfig
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng

Counts = NDArray[np.int64]
Rng = np.random.Generator

MAX_TRIES = 10_000  # draws before min_samples is called out of reach; two seconds at 10 classes


def partition(
    labels: NDArray[np.int64], num_classes: int, config: PartitionConfig, clients: int, seed: int
) -> list[NDArray[np.int64]]:
    """Give every image to exactly one client.

    Parameters
    ----------
    labels : NDArray[int64]
        Class of each image, shape (N,), values 0 to `num_classes` - 1.
    num_classes : int
        Number of classes.
    config : PartitionConfig
        The scheme.
    clients : int
        Number of clients K.
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
    if len(labels) < clients * config.min_samples:
        raise SettingError(
            "topology.clients",
            clients,
            f"{len(labels)} images are too few for partition.min_samples={config.min_samples} at each client; "
            f"use at most {len(labels) // config.min_samples} clients",
        )
    parts = _draw(labels, np.bincount(labels, minlength=num_classes), config, clients, seed)
    smallest = min(map(len, parts))
    if smallest < config.min_samples:  # the pathological schemes do not draw sizes, and so cannot draw again
        raise SettingError(
            "partition.min_samples",
            config.min_samples,
            f"a client would have {smallest} images; use at most {smallest}",
        )
    return parts


def _draw(
    labels: NDArray[np.int64], class_sizes: Counts, config: PartitionConfig, clients: int, seed: int
) -> list[NDArray[np.int64]]:
    rng = numpy_rng(seed, "partition", config.kind)
    match config.kind:
        case "own":
            raise ValueError("partition=own splits nothing")
        case "iid":
            return _deal(np.arange(len(labels)), _equal(len(labels), clients), rng)
        case "quantity":
            return _deal(np.arange(len(labels)), _quantity_skew(len(labels), config, clients, rng), rng)
        case "dirichlet":
            return _deal_classes(labels, _label_skew(class_sizes, config, clients, rng), rng)
        case "pathological" if config.classes_per_client == 1:
            return _deal_classes(labels, _one_class(class_sizes, clients), rng)
        case "pathological":
            return _deal_classes(labels, _few_classes(class_sizes, config, clients), rng)


def _deal(indices: NDArray[np.int64], sizes: Counts, rng: Rng) -> list[NDArray[np.int64]]:
    """Shuffle `indices` and cut them into parts of the given sizes."""
    return [np.sort(part) for part in np.split(rng.permutation(indices), np.cumsum(sizes)[:-1])]


def _deal_classes(labels: NDArray[np.int64], counts: Counts, rng: Rng) -> list[NDArray[np.int64]]:
    """Deal each class by its column of `counts`, shape (clients, num_classes)."""
    dealt = [_deal(np.flatnonzero(labels == number), sizes, rng) for number, sizes in enumerate(counts.T)]
    return [np.sort(np.concatenate(parts)) for parts in zip(*dealt, strict=True)]


def _equal(total: int, parts: int) -> Counts:
    """Split `total` into sizes that differ by at most one."""
    return np.diff(np.arange(parts + 1) * total // parts)


def _few_classes(class_sizes: Counts, config: PartitionConfig, clients: int) -> Counts:
    """Count images for the FedPhD authors' CIFAR-10 scheme (their code, cifar10.py).

    Of C classes, class i goes in equal chunks to the clients (i * m + j) mod K, j = 0 .. m - 1, with
    m = K * classes_per_client / C, which must be whole, or some clients would hold fewer classes.
    Where chunks cannot be equal, theirs leave images out, and ours differ by one.
    """
    held, classes = config.classes_per_client, len(class_sizes)
    if held is None or held > classes:
        raise SettingError(
            "partition.classes_per_client", held, f"the images have {classes} classes; use 1 to {classes}"
        )
    if clients * held % classes:
        step = classes // gcd(classes, held)
        raise SettingError(
            "topology.clients",
            clients,
            f"cannot hold exactly {held} of {classes} classes each; use a multiple of {step}",
        )
    per_class = clients * held // classes
    scarce = int(np.argmin(class_sizes))
    if class_sizes[scarce] < per_class:
        raise SettingError(
            "topology.clients",
            clients,
            f"class {scarce} has {class_sizes[scarce]} images for {per_class} clients; use fewer or another partition",
        )
    counts = np.zeros((clients, classes), np.int64)
    for number, size in enumerate(class_sizes):
        counts[(number * per_class + np.arange(per_class)) % clients, number] = _equal(int(size), per_class)
    return counts


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


def _label_skew(class_sizes: Counts, config: PartitionConfig, clients: int, rng: Rng) -> Counts:
    """Draw each class's spread from Dirichlet(alpha): NIID-Bench's distribution-based label imbalance.

    As in the benchmark's code (Li et al. 2022; the choice of FedDiffuse, too), a client that already
    has N / K images gets none of the next class, and all is drawn again until each has `min_samples`.
    """
    mean = class_sizes.sum() / clients
    for _ in range(MAX_TRIES):
        counts = np.zeros((clients, len(class_sizes)), np.int64)
        for number in np.flatnonzero(class_sizes):
            shares = rng.dirichlet(np.full(clients, config.alpha))
            shares[counts.sum(axis=1) >= mean] = 0
            if shares.sum() == 0:  # a tiny alpha gave all to clients that are full
                break
            counts[:, number] = _cut(class_sizes[number], shares / shares.sum())
        else:
            if counts.sum(axis=1).min() >= config.min_samples:
                return counts
    raise _out_of_reach(config, clients)


def _quantity_skew(total: int, config: PartitionConfig, clients: int, rng: Rng) -> Counts:
    """Draw the clients' sizes from Dirichlet(alpha): NIID-Bench's quantity skew (Li et al. 2022)."""
    for _ in range(MAX_TRIES):
        sizes = _cut(total, rng.dirichlet(np.full(clients, config.alpha)))
        if sizes.min() >= config.min_samples:
            return sizes
    raise _out_of_reach(config, clients)


def _cut(total: int, shares: NDArray[np.float64]) -> Counts:
    """Round `total * shares` to whole numbers that add up to `total`."""
    inner = (np.cumsum(shares) * total).astype(np.int64)[:-1]
    return np.diff(inner, prepend=0, append=total)


def _out_of_reach(config: PartitionConfig, clients: int) -> SettingError:
    return SettingError(
        "partition.min_samples",
        config.min_samples,
        f"no draw of {MAX_TRIES} gave each of {clients} clients so many images at partition.alpha={config.alpha}; "
        "use a smaller min_samples, fewer clients, or a larger alpha",
    )

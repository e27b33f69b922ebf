"""Partitions as the papers' authors draw them: FedDiffuse's to the image, FedPhD's by client and class."""

import os
from pathlib import Path

import numpy as np
import pytest

from fedphd.common.config import compose
from fedphd.common.data import DATA_SETS
from fedphd.common.data.partitions import PARTITIONS, Pathological, partition
from fedphd.common.errors import SettingError

TEST_DATA = Path(os.environ.get("FEDPHD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
IN_BLOCKS = np.repeat(np.arange(10), 6000)  # as many of each class as Fashion-MNIST has
MIXED = np.random.default_rng(0).permutation(IN_BLOCKS)
# The authors' clients, by number of clients K and scheme: Fashion-MNIST, 60,000 images.
SIZES = {
    (2, "iid"): [30000] * 2,
    (2, "dirichlet"): [33395, 26605],
    (2, "quantity"): [58504, 1496],
    (5, "iid"): [12000] * 5,
    (5, "dirichlet"): [13446, 7913, 12357, 13838, 12446],
    (5, "quantity"): [529, 13, 46087, 11898, 1473],
    (10, "iid"): [6000] * 10,
    (10, "dirichlet"): [6220, 3827, 7301, 6017, 8622, 6793, 8063, 4269, 4637, 4251],
    (10, "quantity"): [48, 8668, 1566, 6056, 3105, 4648, 5149, 117, 1186, 29457],
}


def published(kind, *, alpha=0.5, min_samples=10):
    skew = {} if kind == "iid" else {"alpha": alpha}
    return PARTITIONS.read({"kind": kind, "draw": "published", "min_samples": min_samples, **skew})


def drawn(labels, classes, kind, clients, seed=0, **options):
    return partition(labels, classes, published(kind, **options), clients, seed)


@pytest.mark.parametrize("labels", [IN_BLOCKS, MIXED], ids=["blocks", "mixed"])
@pytest.mark.parametrize(("clients", "kind"), SIZES)
def test_the_sizes_of_the_published_table(clients, kind, labels):
    assert [len(part) for part in drawn(labels, 10, kind, clients)] == SIZES[clients, kind]


@pytest.mark.skipif(not (TEST_DATA / "FashionMNIST").exists(), reason="needs FEDPHD_TEST_DATA")
@pytest.mark.parametrize(("clients", "kind"), SIZES)
def test_the_published_partitions_of_the_real_fashion_mnist(clients, kind):
    labels = DATA_SETS.read({"kind": "fashion_mnist", "root": TEST_DATA}).read("train", 0).labels
    parts = drawn(labels, 10, kind, clients)
    assert [len(part) for part in parts] == SIZES[clients, kind]
    assert_same(parts, by_global_generator(labels, 10, kind, clients))


def by_global_generator(labels, classes, kind, clients, alpha=0.5, least=10):
    """The recipe word for word, with NumPy's global generator as the authors have it."""
    before = np.random.get_state()
    np.random.seed(2023)
    total = len(labels)
    try:
        if kind == "iid":
            return np.array_split(np.random.permutation(total), clients)
        if kind == "quantity":
            order, shares = np.random.permutation(total), np.zeros(1)
            while min(shares * total) < least:
                shares = np.random.dirichlet(np.repeat(alpha, clients))
                shares = shares / shares.sum()
            return np.split(order, (np.cumsum(shares) * total).astype(int)[:-1])
        while True:
            held = [[] for _ in range(clients)]
            for number in range(classes):
                members = np.where(labels == number)[0]
                np.random.shuffle(members)
                shares = np.random.dirichlet(np.repeat(alpha, clients))
                shares[[len(own) >= total / clients for own in held]] = 0
                cuts = (np.cumsum(shares / shares.sum()) * len(members)).astype(int)[:-1]
                held = [own + more.tolist() for own, more in zip(held, np.split(members, cuts), strict=True)]
            if min(map(len, held)) >= least:
                return held
    finally:
        np.random.set_state(before)


def assert_same(parts, expected):
    for part, own in zip(parts, expected, strict=True):
        assert part.dtype == np.int64
        np.testing.assert_array_equal(part, np.sort(own))


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "quantity"])
@pytest.mark.parametrize(("clients", "least"), [(2, 10), (3, 60), (7, 20)])
def test_other_images_are_split_by_the_same_recipe(kind, clients, least):
    labels = np.random.default_rng(clients).permutation(np.repeat(np.arange(6), [40, 171, 90, 203, 7, 110]))
    parts = drawn(labels, 6, kind, clients, alpha=0.7, min_samples=least)
    assert_same(parts, by_global_generator(labels, 6, kind, clients, alpha=0.7, least=least))


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "quantity"])
def test_the_runs_seed_and_the_global_generator_have_no_part_in_it(kind):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, other = (drawn(MIXED, 10, kind, 5, seed) for seed in (0, 1))
    assert (np.random.get_state()[1] == before).all()
    assert_same(first, other)


@pytest.mark.parametrize("kind", ["dirichlet", "quantity"])
def test_a_published_draw_that_cannot_succeed_ends_with_an_error(kind):
    # 100 images over 10 clients with 10 each: all shares would have to be equal.
    with pytest.raises(SettingError, match=r"^partition.min_samples=10: .* partition.alpha=0.5; use a smaller"):
        drawn(np.repeat([0, 1], 50), 2, kind, 10)


def test_shares_too_small_for_numbers_are_drawn_again():
    """With a tiny alpha the legacy generator gives a class to nobody, or to a full client alone."""
    parts = drawn(np.repeat(np.arange(4), 30), 4, "dirichlet", 2, alpha=1e-3, min_samples=1)
    assert sorted(np.concatenate(parts)) == list(range(120))


def test_a_class_without_images_goes_to_nobody():
    parts = drawn(np.repeat([0, 1, 3], 40), 5, "dirichlet", 3)
    assert sorted(np.concatenate(parts)) == list(range(120))


def test_a_draw_of_nobodys_is_refused():
    with pytest.raises(SettingError, match=r"^partition.draw=theirs: .*'seeded' or 'published'"):
        compose(["partition=dirichlet", "partition.draw=theirs"])


@pytest.mark.parametrize(("clients", "held"), [(20, 2), (10, 2), (50, 2), (100, 2), (20, 1), (10, 1), (20, 4), (40, 5)])
def test_pathological_gives_the_fedphd_authors_table_for_cifar10(clients, held):
    """Class i goes to the clients (i * m + j) mod N in equal chunks, m = N * held / 10 (their cifar10.py)."""
    per_class = clients * held // 10
    expected = np.zeros((clients, 10), np.int64)
    for number in range(10):
        for place in range(per_class):
            expected[(number * per_class + place) % clients, number] += 5000 // per_class
    labels = np.repeat(np.arange(10), 5000)
    parts = partition(labels, 10, Pathological(kind="pathological", classes_per_client=held), clients, 0)
    table = np.stack([np.bincount(labels[part], minlength=10) for part in parts])
    np.testing.assert_array_equal(table, expected)

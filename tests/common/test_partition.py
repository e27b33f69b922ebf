import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedphd.common.data.partitions import IID, PARTITIONS, Pathological, partition
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import derive_seed

EQUAL = IID(kind="iid")
DRAWS = st.sampled_from(["seeded", "published"])


def label_counts(labels, parts, classes):
    """Each client's images of each class, shape (clients, classes)."""
    return np.stack([np.bincount(labels[part], minlength=classes) for part in parts])


def pathological(classes_per_client, **more):
    return Pathological(kind="pathological", classes_per_client=classes_per_client, **more)


def skewed(kind, **options):
    return PARTITIONS.read({"kind": kind, **options})


def blocks(*sizes):
    """Labels with so many images of each class, class after class."""
    return np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)


def counts(labels, classes, config, clients, seed=0):
    return label_counts(labels, partition(labels, classes, config, clients, seed), classes)


@st.composite
def partitions(draw):
    """Labels, number of classes, a scheme and a number of clients that it can serve."""
    classes = draw(st.integers(1, 5))
    clients = classes * draw(st.integers(1, 3))
    sizes = draw(st.lists(st.integers(clients, 3 * clients), min_size=classes, max_size=classes))
    labels = np.array(draw(st.permutations(blocks(*sizes).tolist())), np.int64)
    config = draw(
        st.one_of(
            DRAWS.map(lambda draw: skewed("iid", draw=draw)),
            st.integers(1, classes).map(pathological),
            st.tuples(st.sampled_from(["dirichlet", "quantity"]), DRAWS).map(
                lambda choice: skewed(choice[0], alpha=5.0, draw=choice[1])
            ),
        )
    )
    # The published draw asks that the smallest share of all images is `min_samples` of them, before it rounds: with as
    # many images as clients, that has no solution.
    assume(config.kind != "quantity" or config.draw == "seeded" or len(labels) >= 6 * clients)
    assume(config.kind != "dirichlet" or classes > 1)  # which has nothing to spread of one
    return labels, classes, config, clients


@settings(max_examples=150, deadline=None)
@given(partitions(), st.integers(0, 2**32))
def test_every_image_belongs_to_exactly_one_client(case, seed):
    labels, classes, config, clients = case
    parts = partition(labels, classes, config, clients, seed)
    assert len(parts) == clients
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for part in parts:
        assert part.dtype == np.int64
        assert len(part) >= config.min_samples
        assert (np.diff(part) > 0).all()
    held = label_counts(labels, parts, classes)
    assert held.shape == (clients, classes)
    assert held.sum(axis=0).tolist() == np.bincount(labels, minlength=classes).tolist()
    if config.kind == "pathological":
        assert ((held > 0).sum(axis=1) == config.classes_per_client).all()


@settings(max_examples=40, deadline=None)
@given(partitions(), st.integers(0, 2**32), st.integers(0, 2**32 - 1))
def test_a_partition_follows_from_its_arguments_alone(case, seed, elsewhere):
    labels, classes, config, clients = case
    np.random.seed(elsewhere)
    before = np.random.get_state()[1].copy()
    first = partition(labels, classes, config, clients, seed)
    assert (np.random.get_state()[1] == before).all()
    np.random.random(elsewhere % 7)
    for one, other in zip(first, partition(labels, classes, config, clients, seed), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "config", [EQUAL, pathological(2), *(skewed(kind, alpha=0.5) for kind in ("dirichlet", "quantity"))]
)
def test_another_seed_gives_other_parts(config):
    labels = blocks(*[100] * 10)
    parts = [partition(labels, 10, config, 10, seed)[0].tolist() for seed in (0, 1)]
    assert parts[0] != parts[1]


def test_iid_shares_are_equal_and_mixed():
    labels = blocks(500, 500)
    held = counts(labels, 2, EQUAL, 3)
    assert sorted(held.sum(axis=1)) == [333, 333, 334]
    # Without replacement, 1/3 of 1000 with 500 of a class: hypergeometric of standard deviation
    # sqrt(333.3 * 1/4 * (666.7 / 999)) = 7.5, so 40 is more than five of them.
    assert (abs(held[:, 0] - 1000 / 6) < 40).all()


def test_pathological_is_the_authors_scheme_for_cifar10():
    held = counts(blocks(*[5000] * 10), 10, pathological(2), 20)
    # 20 * 2 // 10 = 4 clients per class. Class i goes to the clients (4 i + j) mod 20: classes 0 and
    # 5 to 0-3, 1 and 6 to 4-7, and so on; 5000 / 4 = 1250 images of each.
    expected = np.zeros((20, 10), np.int64)
    for client in range(20):
        expected[client, [client // 4, client // 4 + 5]] = 1250
    np.testing.assert_array_equal(held, expected)
    assert (held.sum(axis=1) == 2500).all()


def test_pathological_on_ten_clients_gives_two_classes_each():
    sizes = [151, 151, 150, 153, 148, 152, 151, 149, 146, 149]  # the digits' training images
    held = counts(blocks(*sizes), 10, pathological(2), 10)
    # 2 clients per class: class i at the clients 2i and 2i + 1 mod 10, so client 0 holds 0 and 5.
    assert np.flatnonzero(held[0]).tolist() == [0, 5]
    assert np.flatnonzero(held[9]).tolist() == [4, 9]
    assert held[0].sum() == 75 + 76  # of 151 / 2 and 152 / 2
    assert held.sum() == 1500


def test_pathological_with_more_classes_per_client():
    held = counts(blocks(*[30] * 4), 4, pathological(3), 4)
    # 3 clients per class: class 0 at 0 1 2, class 1 at 3 0 1, class 2 at 2 3 0, class 3 at 1 2 3.
    assert held.tolist() == [[10, 10, 10, 0], [10, 10, 0, 10], [10, 0, 10, 10], [0, 10, 10, 10]]


@pytest.mark.parametrize(("clients", "classes", "held", "step"), [(12, 10, 2, 5), (5, 4, 2, 2), (7, 10, 3, 10)])
def test_pathological_refuses_clients_that_would_hold_fewer_classes(clients, classes, held, step):
    with pytest.raises(
        SettingError, match=rf"^topology.clients={clients}: .* use a multiple of {step}, or partition=iid or dirichlet$"
    ):
        partition(blocks(*[100] * classes), classes, pathological(held), clients, 0)


def test_pathological_refuses_more_classes_than_there_are():
    with pytest.raises(SettingError, match=r"^partition.classes_per_client=4: .* use 1 to 3$"):
        partition(blocks(9, 9, 9), 3, pathological(4), 3, 0)


def test_pathological_refuses_a_class_that_cannot_be_cut():
    with pytest.raises(SettingError, match=r"^topology.clients=10: class 1 has 4 images for 5 clients"):
        partition(blocks(50, 4, 50, 50), 4, pathological(2), 10, 0)


def test_one_class_per_client_is_the_authors_scheme_for_celeba():
    held = counts(blocks(11, 41, 7, 41), 4, pathological(1), 10)
    # Shares 0.11, 0.41, 0.07, 0.41 of 10 clients: ceilings 2, 5, 1, 5 = 13. The largest gives one
    # up, the first of several: 2 4 1 5, 2 4 1 4, 2 3 1 4 = 10.
    # 11 = 5 + 6, 41 = 13 + 13 + 15, 7, 41 = 10 + 10 + 10 + 11.
    expected = np.zeros((10, 4), np.int64)
    expected[0:2, 0] = [5, 6]
    expected[2:5, 1] = [13, 13, 15]
    expected[5, 2] = 7
    expected[6:10, 3] = [10, 10, 10, 11]
    np.testing.assert_array_equal(held, expected)


def test_one_class_per_client_is_exact_where_floating_point_is_not():
    # The share is 70 / 1000, and 0.07 * 100 = 7.000000000000001, whose ceiling would be 8.
    held = counts(blocks(70, 930), 2, pathological(1), 100)
    assert (held > 0).sum(axis=0).tolist() == [7, 93]


def test_one_class_per_client_passes_over_classes_without_images():
    assert counts(blocks(4, 0, 2), 3, pathological(1), 3).tolist() == [[2, 0, 0], [2, 0, 0], [0, 0, 2]]


def test_one_class_per_client_needs_a_client_for_each_class():
    with pytest.raises(SettingError, match=r"^topology.clients=3: .* use at least 4$"):
        partition(blocks(9, 9, 9, 9), 4, pathological(1), 3, 0)


@pytest.mark.parametrize(("alpha", "clients", "seed"), [(0.5, 7, 0), (0.5, 11, 1), (0.1, 7, 2), (5.0, 13, 3)])
def test_label_skew_draws_what_flwr_datasets_draws(alpha, clients, seed):
    """Two implementations of NIID-Bench's draw, from one generator, agree image count by image count."""
    datasets = pytest.importorskip("datasets")
    partitioners = pytest.importorskip("flwr_datasets.partitioner")
    labels = np.random.default_rng(seed).permutation(blocks(200, 170, 210, 199, 221))
    theirs = partitioners.DirichletPartitioner(
        num_partitions=clients,
        partition_by="label",
        alpha=alpha,
        min_partition_size=10,
        self_balancing=True,
        seed=derive_seed(seed, "partition", "dirichlet"),
    )
    theirs.dataset = datasets.Dataset.from_dict({"label": labels})
    expected = [np.bincount(theirs.load_partition(client)["label"], minlength=5).tolist() for client in range(clients)]
    config = skewed("dirichlet", alpha=alpha, min_samples=10)
    assert counts(labels, 5, config, clients, seed).tolist() == expected


def test_label_skew_draws_until_every_client_has_enough():
    labels = blocks(*[150] * 10)
    config = skewed("dirichlet", alpha=0.5, min_samples=60)
    first_draws = [counts(labels, 10, config.model_copy(update={"min_samples": 1}), 10, seed) for seed in range(20)]
    assert any(held.sum(axis=1).min() < 60 for held in first_draws)
    for seed in range(20):
        assert counts(labels, 10, config, 10, seed).sum(axis=1).min() >= 60


def test_a_smaller_alpha_skews_labels_more():
    labels = blocks(*[600] * 10)
    largest = [
        np.mean(
            [
                (held / held.sum(axis=1, keepdims=True)).max(axis=1)
                for held in (counts(labels, 10, skewed("dirichlet", alpha=alpha), 10, seed) for seed in range(5))
            ]
        )
        for alpha in (0.05, 0.5, 100.0)
    ]
    assert largest[0] > largest[1] + 0.1 > largest[2] + 0.2  # towards 1/10, the share in an even mix


def test_quantity_skew_varies_sizes_and_not_labels():
    held = counts(blocks(3000, 3000), 2, skewed("quantity", alpha=0.5, min_samples=10), 5)
    sizes = held.sum(axis=1)
    assert sizes.min() >= 10
    assert sizes.max() > 2 * sizes.min()
    shares = held[:, 0] / sizes
    assert (abs(shares - 0.5) < 2.5 / np.sqrt(sizes)).all()  # five standard deviations of a fair draw


@pytest.mark.parametrize("kind", ["iid", "pathological", "dirichlet", "quantity"])
def test_too_few_images_for_the_clients(kind):
    config = skewed(kind, classes_per_client=1, alpha=1.0)  # each takes its own
    with pytest.raises(SettingError, match=r"^topology.clients=6: 5 images are too few .* use at most 5 clients$"):
        partition(blocks(3, 2), 2, config, 6, 0)


@pytest.mark.parametrize("kind", ["dirichlet", "quantity"])
def test_a_draw_that_cannot_succeed_ends_with_an_error(kind):
    # 100 images over 10 clients with 10 each: all shares would have to be equal.
    config = skewed(kind, alpha=0.5, min_samples=10)
    with pytest.raises(SettingError, match=r"^partition.min_samples=10: .* partition.alpha=0.5; use a smaller"):
        partition(blocks(50, 50), 2, config, 10, 0)


def test_a_fixed_scheme_respects_min_samples():
    # One class per client: 2 + 8 images on two clients, 5 on average.
    with pytest.raises(SettingError, match=r"^partition.min_samples=5: .* 2 images; use at most 2$"):
        partition(blocks(2, 8), 2, pathological(1, min_samples=5), 2, 0)

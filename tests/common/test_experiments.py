"""Each experiment composes, its values win over the default's, and it is the set-up that its authors' code has."""

from dataclasses import dataclass

import pytest
from experiments import FILES, SWEEPS, cells, composed, given, label_counts, said

from fedphd.common.config import Config, compose
from fedphd.common.network.build import build_unet
from fedphd.common.network.counting import count
from fedphd.common.network.pruning import prune

CIFAR10 = [5_000] * 10
FASHION = [6_000] * 10
CELEBA = [11_000, 84_000, 25_000, 42_770]  # so many images in all; how many of each class does not matter here


@pytest.mark.parametrize("name", FILES)
def test_an_experiment_sets_what_it_says(name: str) -> None:
    assert_contains(composed(name).model_dump(), said(name))


@pytest.mark.parametrize("name", FILES)
def test_it_is_measured_with_what_its_first_line_gives(name: str) -> None:
    evaluation = composed(name).evaluation
    assert evaluation.extractor != "inception" or getattr(evaluation, "inception_weights", None) is not None


@pytest.mark.parametrize("name", FILES)
def test_its_first_lines_say_how_to_run_it_and_what_it_costs(name: str) -> None:
    package, run, cost = FILES[name].read_text().splitlines()[:3]
    assert package == "# @package _global_"
    assert run.startswith(f"# fedphd {'-m ' * (name in SWEEPS)}experiment={name} ")
    assert cost.startswith("# Costs ") or name in ("cifar10_trial", "own_images")


def assert_contains(config: dict[str, object], said: dict[str, object]) -> None:
    for key, value in said.items():
        if isinstance(value, dict):
            assert_contains(config[key], value)  # type: ignore[arg-type]
        else:
            assert config[key] == value, key


# --- FedPhD ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What FedPhD's authors' scripts say of a run, or what follows from it.

    Attributes
    ----------
    rounds : int
        Edge rounds.
    participants : int
        Clients in each.
    epochs : int
        E.
    classes : list[int]
        Images of each class.
    held : int
        Classes at each client.
    batch, lr, a
        Images per step, step size, weight of homogeneity in the root's average (None: by samples).
    pruned : tuple[float, int] or None
        Ratio, and edge rounds before the pruning.
    """

    rounds: int
    participants: int
    epochs: int
    classes: list[int]
    held: int
    batch: int
    lr: float
    a: float | None = None
    pruned: tuple[float, int] | None = None

    @property
    def client_epochs(self) -> int:
        return self.rounds * self.participants * self.epochs


RUNS = {
    "fedphd_cifar10": Run(10_000, 4, 1, CIFAR10, 2, 128, 2e-4, 40_000, (0.2, 0)),
    "fedphd_cifar10_head": Run(10_000, 8, 1, CIFAR10, 2, 128, 2e-4, 50_000, (0.2, 0)),
    "fedphd_cifar10_sparse": Run(10_200, 4, 1, CIFAR10, 2, 128, 2e-4, 40_000, (0.2, 200)),
    "fedphd_cifar10_dense": Run(10_000, 4, 1, CIFAR10, 2, 128, 2e-4, 40_000),
    "fedphd_celeba": Run(5_000, 4, 1, CELEBA, 1, 64, 2e-5, 20_000, (0.4, 0)),
    "fedphd_celeba_sparse": Run(5_000, 4, 1, CELEBA, 1, 64, 2e-5, 20_000, (0.4, 500)),
    "fedavg_cifar10": Run(2_000, 4, 5, CIFAR10, 2, 128, 2e-4),
    "fedavg_celeba": Run(1_000, 4, 5, CELEBA, 1, 64, 2e-4),
}


@pytest.mark.parametrize("name", RUNS)
def test_fedphds_runs_are_the_authors(name: str) -> None:
    config, run = composed(name), RUNS[name]
    training, topology = config.training, config.topology
    assert (config.edge_rounds, training.epochs, training.batch_size, training.lr) == (
        run.rounds,
        run.epochs,
        run.batch,
        run.lr,
    )
    assert (training.optimizer, training.warmup_steps, training.schedule, training.clip_norm) == (
        "adam",
        100,
        "constant",
        1.0,
    )
    assert (training.flip, training.precision, config.ema_decay, config.seed) == (True, "float32", None, 2023)
    assert (topology.clients, round(topology.clients * topology.participation)) == (20, run.participants)
    assert (topology.edges, topology.edge_rounds) == ((0, 1) if run.a is None else (2, 5))
    after = None if run.pruned is None else config.pruning.after
    assert (config.pruning.share, after) == ((0.0, None) if run.pruned is None else (run.pruned[0], run.pruned[1] / 5))


@pytest.mark.parametrize("name", [name for name, run in RUNS.items() if run.a is not None])
def test_fedphds_homogeneity_counts_images(name: str) -> None:
    config = composed(name)
    assert config.assignment.model_dump() == {
        "kind": "homogeneity",
        "a": 10_000.0,
        "b": 0.0,
        "unit": "image",
        "count": "before",
    }
    assert config.weighting.edge.kind == "samples"
    assert config.weighting.root.model_dump() == {
        "kind": "homogeneity",
        "a": RUNS[name].a,
        "b": 0.0,
        "unit": "image",
    }


@pytest.mark.parametrize("name", RUNS)
def test_fedphds_images_are_drawn_and_measured_as_the_authors_do(name: str) -> None:
    config = composed(name)
    assert config.sampler.model_dump() == {
        "kind": "ddim",
        "steps": 100,
        "eta": 0.0,
        "spacing": "trailing",
        "clip": True,
        "guidance": 1.0,
    }
    assert (config.diffusion.timesteps, config.diffusion.beta_start, config.diffusion.beta_end) == (1000, 1e-4, 0.02)
    assert (config.diffusion.beta_schedule, config.diffusion.prediction) == ("linear", "epsilon")
    assert (config.evaluation.images, config.evaluation.real_images) == (30_000, None)
    assert config.evaluation.reference == "train"


@pytest.mark.parametrize("name", RUNS)
def test_fedphds_clients_hold_what_the_authors_deal(name: str) -> None:
    run = RUNS[name]
    clients = label_counts(composed(name), run.classes)
    assert [len(counts) for counts in clients] == [run.held] * 20
    assert sum(sum(counts.values()) for counts in clients) == sum(run.classes)
    if run.classes == CIFAR10:
        assert clients == [{number // 4: 1_250, number // 4 + 5: 1_250} for number in range(20)]


def test_client_epochs_and_image_passes() -> None:
    epochs = {name: run.client_epochs for name, run in RUNS.items()}
    assert epochs["fedphd_cifar10"] == epochs["fedphd_cifar10_dense"] == epochs["fedavg_cifar10"] == 40_000
    assert epochs["fedphd_cifar10_head"] == 80_000
    assert epochs["fedphd_celeba"] == epochs["fedphd_celeba_sparse"] == epochs["fedavg_celeba"] == 20_000
    central = composed("centralised_cifar10")
    assert 2_500 * epochs["fedavg_cifar10"] == 50_000 * central.rounds * central.training.epochs == 100_000_000


def test_the_abstracts_56_percent_is_the_run_with_fewer_participants() -> None:
    """MACs times client epochs of the pruned network, as a share of flat FedAvg's."""
    dense = build_unet(composed("fedavg_cifar10").model, 0)
    macs, pruned = count(dense)[1], count(prune(dense, composed("fedphd_cifar10").pruning.share)[0])
    share = {name: pruned[1] * RUNS[name].client_epochs / (macs * 40_000) for name in RUNS}
    assert pruned[0] == 20_340_086
    assert f"{share['fedphd_cifar10']:.4f} {share['fedphd_cifar10_head']:.2f}" == "0.5645 1.13"


@pytest.mark.parametrize(
    ("name", "dropout", "side", "data"),
    [("fedphd_cifar10", 0.1, 32, "cifar10"), ("fedphd_celeba", 0.0, 64, "celeba")],
)
def test_all_runs_on_the_same_images_have_the_same_network(name: str, dropout: float, side: int, data: str) -> None:
    network = composed(name).model
    assert (network.name, network.unet["dropout"], network.unet["sample_size"]) == (name, dropout, side)
    same = [run for run in RUNS if run.endswith(data) or f"_{data}_" in run]
    assert len(same) > 2
    assert all((composed(run).model, composed(run).data.kind) == (network, data) for run in same)


def test_celeba_is_cut_as_each_of_the_authors_does() -> None:
    fedphd, feddiffuse = composed("fedphd_celeba").data, composed("feddiffuse_celeba").data
    assert (fedphd.size, fedphd.crop, fedphd.labels) == (64, None, "male_young")  # type: ignore[attr-defined]
    assert (feddiffuse.size, feddiffuse.crop, feddiffuse.labels) == (64, 178, "male_young_hair")  # type: ignore[attr-defined]


def test_sparse_training_has_the_authors_penalty_and_a_second_warm_up() -> None:
    for name in ("fedphd_cifar10_sparse", "fedphd_celeba_sparse"):
        config = composed(name)
        assert config.objective.terms["group_sparsity"].weight == 1e-5
        assert config.pruning.restart_warmup is True  # type: ignore[attr-defined]
        assert [config.pruning.phase(number) for number in (1, config.rounds)] == ["sparse", "pruned"]


# --- FedDiffuse --------------------------------------------------------------------------------------

SIZES = {  # images of each client, as the authors' code deals Fashion-MNIST
    ("iid", 2): [30_000] * 2,
    ("iid", 5): [12_000] * 5,
    ("iid", 10): [6_000] * 10,
    ("dirichlet", 2): [33_395, 26_605],
    ("dirichlet", 5): [13_446, 7_913, 12_357, 13_838, 12_446],
    ("dirichlet", 10): [6_220, 3_827, 7_301, 6_017, 8_622, 6_793, 8_063, 4_269, 4_637, 4_251],
    ("quantity", 2): [58_504, 1_496],
    ("quantity", 5): [529, 13, 46_087, 11_898, 1_473],
    ("quantity", 10): [48, 8_668, 1_566, 6_056, 3_105, 4_648, 5_149, 117, 1_186, 29_457],
}


def check_feddiffuse(config: Config) -> None:
    """Check what all of FedDiffuse's runs have in common."""
    training, evaluation = config.training, config.evaluation
    assert (training.optimizer, training.lr, training.warmup_steps, training.clip_norm) == ("adam", 1e-4, 0, None)
    assert (training.keep_optimizer, training.flip, training.precision) == (False, False, "float32")
    assert (config.objective.loss, config.ema_decay, config.seed) == ("huber", None, 2023)
    assert (config.topology.edges, config.topology.participation) == (0, 1.0)
    assert (config.sampler.kind, config.sampler.steps, config.sampler.clip) == ("ddpm", 1000, False)  # type: ignore[attr-defined]
    assert (evaluation.images, evaluation.real_images, evaluation.reference) == (1_000, 1_000, "holdout")
    assert evaluation.clients == "trained"


def test_feddiffuses_table_has_all_cells() -> None:
    found = [compose([*cell, *given("feddiffuse_table")]) for cell in cells("feddiffuse_table")]
    rows = {(config.exchange.kind, config.topology.clients, config.partition.kind) for config in found}
    methods, partitions = ("full", "usplit", "ulatdec", "udec"), ("iid", "dirichlet", "quantity")
    assert rows == {(method, clients, kind) for method in methods for clients in (2, 5, 10) for kind in partitions}
    assert len(found) == 36  # 12 of the table's 13 lines; the first is the baseline
    for config in found:
        check_feddiffuse(config)
        assert (config.rounds, config.training.epochs, config.training.batch_size) == (15, 5, 128)
        clients = label_counts(config, FASHION)
        assert [sum(counts.values()) for counts in clients] == SIZES[config.partition.kind, config.topology.clients]


def test_feddiffuses_baseline_trains_in_one_place() -> None:
    config = composed("feddiffuse_baseline")
    check_feddiffuse(config)
    assert (config.topology.clients, config.rounds, config.training.epochs, config.partition.kind) == (1, 15, 1, "iid")


def test_feddiffuses_figure_3_has_all_points() -> None:
    found = [compose([*cell, *given("feddiffuse_epochs")]) for cell in cells("feddiffuse_epochs")]
    points = [(config.topology.clients, config.training.epochs) for config in found]
    assert points == [(clients, epochs) for clients in (2, 5, 10) for epochs in (1, 2, 3, 5, 8)]
    assert {(config.exchange.kind, config.partition.kind, config.rounds) for config in found} == {("full", "iid", 15)}


def test_feddiffuse_on_celeba() -> None:
    config = composed("feddiffuse_celeba")
    check_feddiffuse(config)
    assert (config.topology.clients, config.rounds, config.training.epochs, config.training.batch_size) == (
        5,
        30,
        5,
        64,
    )
    assert count(build_unet(config.model, 0))[0] == 14_892_477


# --- all sweeps, and the methods that are not fully known ----------------------------------------------

SWEPT = {
    "fedphd_baselines": ("method", 8),
    "fedavg_epochs": ("training.epochs", 6),
    "fedphd_ratio": ("pruning.ratio", 5),
    "fedphd_clients": ("topology.clients", 3),
    "fedphd_edges": ("topology.edges", 2),
    "fedphd_a": ("weighting.root.a", 6),
    "feddiffuse_table": ("topology.clients", 36),
    "feddiffuse_epochs": ("training.epochs", 15),
    "feddm_table": ("method", 6),
    "fedddpm_table": ("method", 6),
}


def test_all_sweeps_are_known() -> None:
    assert set(SWEPT) == set(SWEEPS)


@pytest.mark.parametrize("name", sorted(set(SWEPT) - {"feddiffuse_table", "feddiffuse_epochs"}))
def test_each_run_of_a_sweep_composes_and_is_another(name: str) -> None:
    key, many = SWEPT[name]
    found = cells(name)
    assert len(found) == many and all(any(word.startswith(f"{key}=") for word in cell) for cell in found)
    texts = {compose([*cell, *given(name)]).model_dump_json() for cell in found}
    assert len(texts) == many


def test_what_is_given_on_the_command_line_replaces_the_sweep() -> None:
    found = cells("feddiffuse_table", "method=feddiffuse_full", "topology.clients=2")
    assert len(found) == 3
    assert len(cells("feddiffuse_table", "seed=2023,2024")) == 72


@pytest.mark.parametrize(
    ("name", "data", "method"),
    [
        ("feddm_fmnist", "fashion_mnist", "feddm_quant"),
        ("feddm_cifar10", "cifar10", "feddm_quant"),
        ("feddm_celeba", "celeba", "feddm_quant"),
        ("feddm_lsun_church", "lsun_church", "feddm_quant"),
        ("fedddpm_mnist", "mnist", "fedddpm"),
        ("fedddpm_cifar10", "cifar10", "fedddpm"),
        ("fedddpm_cifar100", "cifar100", "fedddpm"),
    ],
)
def test_feddm_and_fedddpm_have_their_papers_data_sets(name: str, data: str, method: str) -> None:
    config = composed(name)
    assert (config.data.kind, config.method, config.topology.edges) == (data, method, 0)
    assert (config.training.precision, config.ema_decay) == ("float32", None)
    assert config.model.autoencoder is not None or config.data.kind != "lsun_church"


def test_another_method_chooses_its_own_parts() -> None:
    plain = composed("fedphd_cifar10_dense", "method=fedavg")
    assert (plain.assignment.kind, plain.weighting.root.kind, plain.pruning.kind) == ("random", "samples", "none")
    assert (plain.topology, plain.training) == (
        composed("fedphd_cifar10").topology,
        composed("fedphd_cifar10").training,
    )
    for method in ("fedprox", "scaffold", "moon"):
        assert composed("fedavg_cifar10", f"method={method}").topology == composed("fedavg_cifar10").topology

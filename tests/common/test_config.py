import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd import conf
from fedphd.client.objective import terms_of
from fedphd.common.config import (
    Config,
    ModelConfig,
    compose,
    from_run_config,
    from_yaml,
    run_folder,
    to_run_config,
    to_yaml,
    validate,
)
from fedphd.common.config.load import CONFIG_KEY, OVERRIDES_KEY
from fedphd.common.errors import SettingError

CONF = Path(conf.__file__).parent
GROUPS = sorted({file.parent.name for file in CONF.glob("*/*.yaml")} - {"experiment"})
WITHIN_MODEL = {"adapters"}  # groups whose choice stands below `model`
SIZES = ["rounds=40", "topology.clients=10", "topology.edges=2", "pruning=sparse_then_prune"]


def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def paths(composed: str, folder: Path) -> list[str]:
    """Overrides that give a choice the images or the path without which it cannot start."""
    needed = {
        "data=fashion_mnist": "data.root",
        "data=cifar10": "data.root",
        "data=cifar100": "data.root",
        "data=mnist": "data.root",
        "data=celeba": "data.root",
        "data=lsun_church": "data.root",
        "data=hugging_face": "data.name",
        "data=npz": "data.path",
        "data=folder": "data.path",
        "evaluation=fid": "evaluation.inception_weights",
    }
    if composed == "adapters=lora":
        return ["method=fedavg", f"model.init={folder}"]
    if composed == "partition=own":
        return ["data=npz", f"data.path={folder}"]
    return [f"{needed[composed]}={folder}"] if composed in needed else []


def tree(**changes: object) -> dict:
    """The default method at a fixed size as plain dicts, with changes at dotted keys (``__`` for the dots)."""
    plain = yaml.safe_load(to_yaml(compose(SIZES)))
    for key, value in changes.items():
        *sections, name = key.split("__")
        place = plain
        for section in sections:
            place = place[section]
        place[name] = value
    return plain


def refused(**changes: object) -> SettingError:
    with pytest.raises(SettingError) as caught:
        validate(tree(**changes))
    assert str(caught.value).startswith(f"{caught.value.key}=")
    assert caught.value.advice
    return caught.value


# --- composing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [f"{group}={name}" for group in GROUPS for name in choices(group)])
def test_every_choice_composes_and_travels(choice: str, tmp_path: Path) -> None:
    group, _, name = choice.partition("=")
    config = compose([choice, *paths(choice, tmp_path)])
    assert from_yaml(to_yaml(config)) == config
    part = getattr(config.model if group in WITHIN_MODEL else config, group)
    assert part == name if group == "method" else part is not None


@pytest.mark.parametrize("name", choices("objective/term"))
def test_every_term_of_the_objective_composes_and_travels(name: str) -> None:
    config = compose(["method=fedavg", f"+objective/term={name}"])
    assert from_yaml(to_yaml(config)) == config
    [(term, carried)] = config.objective.terms.items()
    assert (term, carried.kind) == (name, name)
    assert list(terms_of(config.objective)) == [name]


def test_terms_of_the_objective_combine() -> None:
    combined = compose(["objective=proximal", "+objective/term=[contrastive,group_sparsity]"])
    assert set(combined.objective.terms) == {"contrastive", "group_sparsity", "proximal"}
    changed = compose(["objective=proximal", "objective.terms.proximal.weight=3"])
    assert changed.objective.terms["proximal"].weight == 3
    assert compose(["objective=proximal", "~objective.terms.proximal"]).objective.terms == {}


def test_groups_are_where_the_schema_says() -> None:
    assert set(GROUPS) - WITHIN_MODEL <= set(Config.model_fields)
    assert set(ModelConfig.model_fields) >= WITHIN_MODEL


@pytest.mark.parametrize("choice", choices("experiment"))
def test_every_experiment_composes(choice: str, tmp_path: Path) -> None:
    try:
        config = compose([f"experiment={choice}"])
    except SettingError as error:  # the one thing that an experiment may leave open is where the user's files are
        assert error.value is None
        assert "path" in error.advice
        return
    assert from_yaml(to_yaml(config)) == config


def test_a_method_is_a_choice_of_parts() -> None:
    phd, avg = compose(["method=fedphd"]), compose(["method=fedavg"])
    assert (phd.assignment.kind, phd.weighting.root.kind, phd.pruning.kind) == (
        "homogeneity",
        "homogeneity",
        "sparse_then_prune",
    )
    assert phd.objective.terms["group_sparsity"].weight > 0
    assert (avg.assignment.kind, avg.weighting.root.kind, avg.pruning.kind) == ("random", "samples", "none")
    assert avg.objective.terms == {}
    mixed = compose(["method=fedavg", "assignment=homogeneity", "pruning=at_start"])
    assert (mixed.method, mixed.assignment.kind, mixed.pruning.kind) == ("fedavg", "homogeneity", "at_start")


def test_a_flat_topology_has_no_edges() -> None:
    flat = compose(["method=fedavg", "topology=flat"]).topology
    assert (flat.edges, flat.edge_rounds) == (0, 1)


def test_the_papers_constants() -> None:
    """FedPhD's authors' code, with n_bar = 2500: 40000 at the root, n_e before the client."""
    phd = compose(["method=fedphd"])
    assert (phd.assignment.b, phd.assignment.count) == (0.0, "before")
    assert (phd.weighting.root.a * 2500, phd.weighting.root.b) == (40000.0, 0.0)
    assert phd.assignment.unit == phd.weighting.root.unit == "client"
    assert phd.weighting.edge.kind == "samples"
    ddpm = phd.diffusion
    assert (ddpm.timesteps, ddpm.beta_schedule, ddpm.beta_start, ddpm.beta_end) == (1000, "linear", 1e-4, 0.02)


def test_the_configuration_is_read_without_torch() -> None:
    """It holds the classes of parts that compute, and each command reads it."""
    read = "import sys; from fedphd.common.config import compose; compose(); print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


# --- carrying ---------------------------------------------------------------------------------------


def test_the_run_config_carries_the_whole_tree(tmp_path: Path) -> None:
    config = compose([*SIZES, "topology.homes=[[0],[1],[0,1],[0],[0],[0],[1],[1],[1],[1]]", "seed=7"])
    run_config = to_run_config(config, tmp_path)
    assert all(type(value) in (bool, float, int, str) for value in run_config.values())  # all that Flower carries
    assert from_run_config(run_config) == config
    assert run_folder(run_config, 5) == tmp_path


def test_a_host_without_images_can_read_the_configuration(tmp_path: Path) -> None:
    """An edge has none, a client has them elsewhere: the path is the root's."""
    (tmp_path / "images.npz").write_bytes(b"")
    config = compose(["data=npz", f"data.path={tmp_path / 'images.npz'}"])
    run_config = to_run_config(config, tmp_path / "run")
    (tmp_path / "images.npz").unlink()
    assert from_run_config(run_config) == config


def test_a_training_keeps_its_name_when_it_is_resumed(tmp_path: Path) -> None:
    """Clients find by it what they kept on their own disks."""
    first = to_run_config(compose(), tmp_path / "run")["run-id"]
    assert first.startswith("run-") and "/" not in first
    resumed = compose([f"checkpoint.resume={tmp_path / 'run'}"])
    assert to_run_config(resumed, tmp_path / "run")["run-id"] == first
    assert to_run_config(compose(), tmp_path / "another" / "run")["run-id"] != first


def test_without_text_the_app_composes_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run_config = {CONFIG_KEY: "", OVERRIDES_KEY: "method=fedavg  rounds=3", "run-dir": ""}
    assert from_run_config(run_config) == compose(["method=fedavg", "rounds=3"])
    assert from_run_config({}) == compose()
    assert run_folder(run_config, 5) == tmp_path / "runs" / "flwr-5"


@settings(max_examples=50, deadline=None)
@given(
    lr=st.floats(1e-12, 1e3),
    seed=st.integers(0, 2**63 - 1),
    b=st.floats(-1e9, 1e9),
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=10),
)
def test_numbers_and_texts_survive_the_journey(lr: float, seed: int, b: float, name: str) -> None:
    plain = tree(training__lr=lr, seed=seed, assignment__b=b, method=name)
    config = validate(plain)
    assert (config.training.lr, config.seed, config.assignment.b, config.method) == (lr, seed, b, name)
    assert from_yaml(to_yaml(config)) == config


def test_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    config = compose(["data=folder", "data.path=images"])
    assert config.data.path == tmp_path / "images"
    monkeypatch.chdir("/")
    assert from_yaml(to_yaml(config)).data.path == tmp_path / "images"


def test_a_checked_configuration_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        compose().topology.clients = 3


# --- refusing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key", "value", "advice"),
    [
        ({"rounds": -3}, "rounds", -3, "greater than 0"),
        ({"rounds": "many"}, "rounds", "many", "integer"),
        ({"rounds": 2.5}, "rounds", 2.5, "integer"),
        ({"seed": -1}, "seed", -1, "greater than or equal to 0"),
        ({"pruning__ratio": 1}, "pruning.ratio", 1, "less than 1"),
        ({"pruning__ratio": -0.1}, "pruning.ratio", -0.1, "greater than or equal to 0"),
        ({"pruning__ratio": 0}, "pruning.ratio", 0, "prunes nothing"),
        ({"pruning__sparse_rounds": 41}, "pruning.sparse_rounds", 41, "rounds=40"),
        ({"pruning__sparse_rounds": 0}, "pruning.sparse_rounds", 0, "greater than 0"),
        ({"topology__edges": 11}, "topology.edges", 11, "at most topology.clients=10"),
        ({"topology__edges": -1}, "topology.edges", -1, "greater than or equal to 0"),
        ({"topology__clients": 0}, "topology.clients", 0, "greater than 0"),
        ({"topology__homes": [[0]] * 9}, "topology.homes", [[0]] * 9, "for each of 10 clients"),
        ({"topology__homes": [[0]] * 9 + [[2]]}, "topology.homes[9]", [2], "from 0 to 1"),
        ({"topology__homes": [[1]] + [[]] + [[0]] * 8}, "topology.homes[1]", [], "at least one edge"),
        ({"topology__homes": [[0]] * 10}, "topology.homes", [[0]] * 10, "no client can reach edge 1"),
        ({"topology__homes": [[0]] * 9 + [[-1]]}, "topology.homes[9][0]", -1, "greater than or equal to 0"),
        ({"topology__quorum": 0}, "topology.quorum", 0, "greater than 0"),
        ({"topology__quorum": 1.1}, "topology.quorum", 1.1, "less than or equal to 1"),
        ({"topology__participation": 0}, "topology.participation", 0, "greater than 0"),
        ({"topology__round_timeout": float("inf")}, "topology.round_timeout", float("inf"), "finite"),
        ({"training__lr": float("nan")}, "training.lr", float("nan"), "finite"),
        ({"training__momentum": 0.9}, "training.momentum", 0.9, "not permitted"),
        ({"colour": "blue"}, "colour", "blue", "not permitted"),
        ({"weighting__root__a": -1}, "weighting.root.a", -1, "greater than or equal to 0"),
        ({"weighting__root__more": 1}, "weighting.root.more", 1, "has no such option; it has a, b"),
        ({"objective__loss": 1}, "objective.loss", 1, "valid string"),
        ({"ema_decay": 1.0}, "ema_decay", 1.0, "less than 1"),
        ({"partition__classes_per_client": None}, "partition.classes_per_client", None, "how many classes"),
        ({"checkpoint__keep": 0}, "checkpoint.keep", 0, "greater than 0"),
    ],
)
def test_bad_settings(changes: dict[str, object], key: str, value: object, advice: str) -> None:
    error = refused(**changes)
    assert error.key == key
    assert repr(error.value) in (repr(value), repr(float("nan")), f"{value}.0")
    assert advice in error.advice


def test_a_missing_setting() -> None:
    plain = tree()
    del plain["topology"]["quorum"]
    with pytest.raises(SettingError, match=r"topology\.quorum=null: Field required"):
        validate(plain)


def test_an_unknown_kind_of_part() -> None:
    error = refused(pruning={"kind": "at_star"})
    assert error.key == "pruning.kind"
    assert "did you mean at_start? use none, at_start, sparse_then_prune" in error.advice


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        *((kind, "data.root") for kind in ("fashion_mnist", "mnist", "cifar10", "cifar100", "celeba", "lsun_church")),
        *((kind, "data.path") for kind in ("npz", "folder")),
    ],
)
def test_data_that_is_not_there(kind: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="needs the path of its images") as caught:
        compose([f"data={kind}"])
    assert (caught.value.key, caught.value.value) == (key, None)
    # Other machines' paths are no error of a configuration that travels; only a process that reads them looks.
    elsewhere = compose([f"data={kind}", f"{key}={tmp_path}/nowhere"])
    with pytest.raises(SettingError, match="no such file or folder") as caught:
        elsewhere.data.check_there()
    assert (caught.value.key, caught.value.value) == (key, tmp_path / "nowhere")


def test_data_that_is_to_be_downloaded_need_not_be_there(tmp_path: Path) -> None:
    config = compose(["data=cifar10", f"data.root={tmp_path}/new", "data.download=true"])
    assert config.data.root == tmp_path / "new"


@pytest.mark.parametrize(
    ("changes", "key", "value", "advice"),
    [
        ({"kind": "digit"}, "data.kind", "digit", "did you mean digits"),
        ({"kind": "digits", "holdout": 0.1}, "data.holdout", 0.1, "data=digits has no such option; it has limit"),
        ({"kind": "npz", "path": "x", "root": "y"}, "data.root", "y", "data=npz has no such option; it has"),
        ({"kind": "npz", "path": "x", "holdout": 1}, "data.holdout", 1, "less than 1"),
        ({"kind": "folder", "path": "x", "size": None}, "data.size", None, "the side in pixels"),
        ({"kind": "no.such:Set"}, "data.kind", "no.such:Set", "cannot be imported"),
        (
            {"kind": "pathlib:Path"},
            "data.kind",
            "pathlib:Path",
            "is no subclass of fedphd.common.data.data_set.DataSet",
        ),
        ({"kind": "fedphd.common.data:DataSet"}, "data.kind", "fedphd.common.data:DataSet", "lacks at, read"),
    ],
)
def test_data_that_cannot_be(changes: dict[str, object], key: str, value: object, advice: str) -> None:
    error = refused(data=changes)
    assert (error.key, error.value) == (key, value)
    assert advice in error.advice


def test_several_trackers_at_once() -> None:
    config = compose(["tracking=tensorboard", "+tracking.mine.kind='module:Mine'", "+tracking.mine.project=x"])
    assert {name: one.kind for name, one in config.tracking.items()} == {
        "tensorboard": "tensorboard",
        "mine": "module:Mine",
    }
    assert from_yaml(to_yaml(config)) == config
    assert compose().tracking == compose(["tracking=[]"]).tracking == {}


def test_settings_of_dirichlet() -> None:
    with pytest.raises(SettingError, match=r"partition.alpha=null: .* Dirichlet"):
        compose(["partition=dirichlet", "partition.alpha=null"])


@pytest.mark.parametrize("text", ["", "- a\n- b", "just text", "17"])
def test_text_that_is_no_configuration(text: str) -> None:
    with pytest.raises(SettingError, match="dictionary"):
        from_yaml(text)

"""What each setting affects: all settings of the schema and of every registered choice, against the facts."""

from pathlib import Path
from typing import Annotated

from fedphd.common.choices import Affects
from fedphd.common.config import affects, compose, decides, leaves
from fedphd.common.config.identity import settings
from fedphd.common.data import DATA_SETS
from fedphd.launch.compare.settings import settings_of
from fedphd.server.assignment import ASSIGNMENTS

SETTINGS = list(settings())
OUTLETS = {
    *("checkpoint.every", "checkpoint.keep", "checkpoint.resume"),
    *("resources.client_cpus", "resources.client_memory", "tracking.kind"),
}
PLACES = {
    *("data.root", "data.download", "data.cache"),
    *("runtime._target_", "runtime.superlink", "runtime.root_certificates", "runtime.insecure"),
    *("runtime.parallel_clients", "runtime.gpus_per_client", "evaluation.batch_size", "evaluation.grid_images"),
    "evaluation.cache",
    *("evaluation.own", "evaluation.own_images", "evaluation.memorisation", "evaluation.memorisation_features"),
}
COURSE = {
    *("runtime.name", "runtime.device", "evaluation.every"),
    *("topology.quorum", "topology.round_timeout", "topology.rejoin_timeout"),
}
MEASURE = {
    *("evaluation.extractor", "evaluation.measures", "evaluation.reference", "evaluation.clients"),
    *("evaluation.images", "evaluation.final_images", "evaluation.real_images"),
    *(
        "sampler.kind",
        "sampler.steps",
        "sampler.spacing",
        "sampler.clip",
        "sampler.eta",
        "sampler.order",
        "sampler.sde",
        "sampler.guidance",
    ),
    *("sampler.name", "sampler.options"),
}
IMAGES = {  # trained on, and measured with
    *("data.kind", "data.path", "data.size", "data.limit", "data.holdout", "data.crop", "data.labels"),
    *("data.name", "data.subset", "data.revision", "data.train_split", "data.holdout_split"),
    *("data.image", "data.label", "data.channels", "data.depth", "data.background"),
    *("data.window", "data.slices", "data.plane"),
    *("data.classes", "data.images"),
}
# A setting of no list above: another value makes another model.
OTHERS = {
    "seed": "what is drawn",
    "rounds": "unless the learning rate is constant, as resume says",
    "pruning.sparse_rounds": "of one choice",
    "correction.window": "of one choice",
    "codec.access.up.zstd": "an option of every choice",
    "weighting.root.a": "of one choice",
    "partition.alpha": "of one choice",
    "partition.holdout": "of every choice",
    "exchange.kind": "a choice itself",
    "assignment.kind": "carried to the root",
    "training.precision": "rounds differently",
}


def found(*what: Affects) -> set[str]:
    return {key for key in SETTINGS if affects(key) == set(what)}


def test_each_setting_affects_what_it_should() -> None:
    assert found(Affects.NOTHING) == OUTLETS | PLACES
    assert found(Affects.COURSE) == COURSE
    assert found(Affects.MEASUREMENT) == MEASURE
    assert found(Affects.MODEL, Affects.MEASUREMENT) == IMAGES
    assert set(OTHERS) <= found(Affects.MODEL)
    assert set(SETTINGS) == found(Affects.MODEL) | IMAGES | MEASURE | COURSE | OUTLETS | PLACES


def test_all_settings_of_a_composed_run_are_known() -> None:
    """... but what a network is made of, and what terms, an assignment, an extractor and trackers have of their own."""
    composed = {key for key, _ in leaves(compose(["method=fedphd", "tracking=tensorboard"]).model_dump(by_alias=True))}
    free = {key for key in composed if key.startswith(("model.", "objective.terms.", "assignment."))}
    carried = {"evaluation.classifier_epochs", "tracking.tensorboard.kind"}
    assert composed - free - carried <= set(SETTINGS)
    assert all(affects(key) == {Affects.MODEL} for key in free)
    assert affects("evaluation.classifier_epochs") == {Affects.MEASUREMENT}
    assert affects("tracking.tensorboard.kind") == {Affects.NOTHING}


def test_what_a_resumed_run_may_change() -> None:
    config = compose(["training.schedule=constant"])
    free = {key for key in SETTINGS if not decides(key, config)}
    assert free == {"rounds"} | OUTLETS | PLACES | COURSE | MEASURE
    assert decides("rounds", compose(["training.schedule=linear"]))
    drawn = compose(["training.schedule=constant", "correction=each_round"])  # the root is fine-tuned on what is drawn
    assert {key for key in SETTINGS if not decides(key, drawn)} == free - {key for key in MEASURE if "sampler." in key}


def test_what_does_not_tell_experiments_apart() -> None:
    tree: dict[str, dict[str, object] | object] = {}
    for key in SETTINGS:
        *groups, name = key.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})  # type: ignore[assignment]
        place[name] = "some"
    assert set(SETTINGS) - set(settings_of(tree)) == {"seed"} | OUTLETS | PLACES


def test_a_setting_of_another_version_is_taken_to_decide_the_model() -> None:
    assert affects("structure.ratio") == affects("pruning.more") == {Affects.MODEL}
    assert affects("runtime.more") == {Affects.NOTHING}


class Elsewhere(DATA_SETS.find("folder")):  # type: ignore[misc]
    """A user's own data set, which nobody registers."""

    where: Annotated[str, Affects.NOTHING] = ""


def test_what_a_class_of_the_users_own_says_counts(tmp_path: Path) -> None:
    config = compose(["data=folder", f"data.path={tmp_path}", "data.size=8"])
    own = Elsewhere.model_validate({**config.data.model_dump(), "kind": "my_parts:Elsewhere"})
    config = config.model_copy(update={"data": own})
    assert not decides("data.where", config)
    assert decides("data.path", config) and decides("data.kind", config)


def test_what_is_carried_to_the_root_affects_the_model() -> None:
    """The configuration cannot see what the root's classes say, and so they must say nothing else."""
    for rule in ASSIGNMENTS.classes:
        notes = {note for field in rule.model_fields.values() for note in field.metadata if isinstance(note, Affects)}
        assert (rule.affects, notes) == (Affects.MODEL, set())

"""Checks of the configuration that need more than one option."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import (
        CodecConfig,
        Config,
        DataConfig,
        EvaluationConfig,
        PartitionConfig,
        Section,
        TopologyConfig,
    )

EXTRACTORS = ("fd_classifier", "inception")
INCEPTION_SPLITS = 10  # parts of the generated images that the Inception score is computed over
# The options of each choice of a group, beside its kind; others would have no effect.
OPTIONS: dict[str, dict[str, set[str]]] = {
    "correction": {
        "none": set(),
        "each_round": {"local_epochs", "images", "chunk", "steps", "batch_size", "lr"},
        "once": {"local_epochs", "images", "chunk", "steps", "batch_size", "lr", "window", "threshold"},
    },
    "pruning": {"none": set(), "at_start": {"ratio"}, "sparse_then_prune": {"ratio", "sparse_rounds"}},
}


def check(config: Config) -> None:
    """Check what needs more than one option.

    Raises
    ------
    SettingError
        If two options contradict each other, or one would have no effect.
    """
    for group, choices in OPTIONS.items():
        _check_options(group, getattr(config, group), choices)
    _check_topology(config.topology)
    _check_pruning(config)
    for hop, ways in (("access", config.codec.access), ("backbone", config.codec.backbone)):
        _check_lane(f"codec.{hop}.down", ways.down, "down")
        _check_lane(f"codec.{hop}.up", ways.up, "up")
    _check_correction(config)
    _check_data(config.data)
    _check_partition(config.partition, config.data)
    _check_evaluation(config.evaluation)


def _check_options(group: str, section: Section, choices: dict[str, set[str]]) -> None:
    kind = str(getattr(section, "kind"))  # noqa: B009 - not every section has one
    for name in sorted(section.model_fields_set - choices[kind] - {"kind"}):
        having = " or ".join(choice for choice, options in choices.items() if name in options)
        advice = f"{group}={kind} has no such option; leave it out, or choose {group}={having}"
        raise SettingError(f"{group}.{name}", getattr(section, name), advice)


def _check_topology(topology: TopologyConfig) -> None:
    if topology.edges > topology.clients:
        raise SettingError(
            "topology.edges",
            topology.edges,
            f"more edges than clients; use at most topology.clients={topology.clients}",
        )
    if topology.homes is None:
        return
    if len(topology.homes) != topology.clients:
        raise SettingError(
            "topology.homes", topology.homes, f"needs one list of edges for each of {topology.clients} clients"
        )
    edges = max(topology.edges, 1)
    for client, homes in enumerate(topology.homes):
        if not homes or max(homes) >= edges or len(set(homes)) < len(homes):
            advice = f"must name at least one edge from 0 to {edges - 1}, each once"
            raise SettingError(f"topology.homes[{client}]", homes, advice)
    lonely = set(range(topology.edges)) - {edge for homes in topology.homes for edge in homes}
    if lonely:
        raise SettingError("topology.homes", topology.homes, f"no client can reach edge {min(lonely)}")


def _check_pruning(config: Config) -> None:
    pruning = config.pruning
    if pruning.kind == "none":
        return
    if pruning.ratio == 0:
        raise SettingError(
            "pruning.ratio", pruning.ratio, "prunes nothing; use a ratio above 0 and below 1, or pruning=none"
        )
    if pruning.kind == "sparse_then_prune":
        assert pruning.sparse_rounds is not None  # filled in before
        if pruning.sparse_rounds > config.rounds:
            advice = f"is later than the last round, so nothing would be pruned; use at most rounds={config.rounds}"
            raise SettingError("pruning.sparse_rounds", pruning.sparse_rounds, advice)


def _check_correction(config: Config) -> None:
    if config.correction.kind != "none" and config.exchange.keeps_parts:
        advice = f"needs a whole global model, which exchange={config.exchange.kind} does not give; use full or usplit"
        raise SettingError("correction", config.correction.kind, advice)
    window = config.correction.window
    if config.correction.kind == "once" and 2 * window > config.rounds:
        advice = f"needs {2 * window} rounds before it can tell whether learning is slow; rounds={config.rounds}"
        raise SettingError("correction.window", window, f"{advice}: use at most half of them")


def _check_lane(key: str, lane: CodecConfig, way: str) -> None:
    if lane.kind == "int4" and lane.of == "weights":
        raise SettingError(f"{key}.of", "weights", "int4 weights ruin the images; use change, or int8")
    if not lane.error_feedback:
        return
    if way == "down":
        advice = "is for the way up; down, a change is counted from what was received, which holds the error"
        raise SettingError(f"{key}.error_feedback", True, advice)
    if lane.kind == "float32":
        raise SettingError(f"{key}.error_feedback", True, "float32 rounds nothing away; use false, or another kind")


def _check_data(data: DataConfig) -> None:
    needed = {"fashion_mnist": "root", "cifar10": "root", "npz": "path", "folder": "path"}.get(data.kind)
    if needed is None:
        return
    if getattr(data, needed) is None:
        raise SettingError(
            f"data.{needed}", None, f"data={data.kind} needs the path of its images: data.{needed}=/path/to/images"
        )
    if data.kind == "folder" and data.size is None:
        raise SettingError("data.size", None, "data=folder needs the side in pixels to which images are resized")


def _check_partition(partition: PartitionConfig, data: DataConfig) -> None:
    if partition.kind == "own" and data.kind not in ("folder", "npz"):
        advice = f"needs images of each client's own: data=folder or npz, not {data.kind}"
        raise SettingError("partition", "own", advice)
    if partition.kind == "pathological" and partition.classes_per_client is None:
        raise SettingError("partition.classes_per_client", None, "say how many classes each client holds, e.g. 2")
    if partition.kind in ("dirichlet", "quantity") and partition.alpha is None:
        raise SettingError(
            "partition.alpha", None, "give the Dirichlet concentration, e.g. 0.5; smaller is more skewed"
        )


def _check_evaluation(evaluation: EvaluationConfig) -> None:
    extractor = evaluation.extractor
    if extractor is None:
        return
    module, _, attribute = extractor.partition(":")
    if extractor not in EXTRACTORS and not (module and attribute):
        raise SettingError(
            "evaluation.extractor",
            extractor,
            f"unknown; use {', '.join(EXTRACTORS)}, an import path package.module:attribute, or null for grids only",
        )
    fewest = INCEPTION_SPLITS if extractor == "inception" else 2
    if evaluation.images < fewest:
        raise SettingError(
            "evaluation.images",
            evaluation.images,
            f"too few to measure; generate at least {fewest}, or set evaluation.extractor=null for grids only",
        )
    if extractor == "inception" and evaluation.inception_weights is None:
        raise SettingError(
            "evaluation.inception_weights",
            None,
            "give the path of inception-2015-12-05.pt, or use evaluation=fd_classifier",
        )

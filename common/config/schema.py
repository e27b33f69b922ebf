"""The typed tree that `conf/` must fit: one model per Hydra group, checked before anything starts.

The comments that explain each option to a user stand beside it in `conf/`; here stand its type,
its range and the checks that need more than one option.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from common.errors import SettingError

Ratio = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
# Made absolute at the first check, since a run's processes need not share a working folder.
UserPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Section(BaseModel):
    """A group of options: unknown keys are refused, values never change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- client ----------------------------------------------------------------------------------


class ObjectiveConfig(Section):
    """What a client minimises (`conf/objective/`)."""

    loss: Literal["mse", "huber"]
    sparsity: NonNegativeFloat


class TrainingConfig(Section):
    """How a client trains in one edge round (`training` in `conf/config.yaml`)."""

    epochs: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    warmup_steps: NonNegativeInt
    schedule: Literal["constant", "linear"]
    clip_norm: PositiveFloat | None
    flip: bool
    keep_optimizer: bool
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool


# --- hierarchy -------------------------------------------------------------------------------


class TopologyConfig(Section):
    """Clients, edges and the rounds between them (`conf/topology/`)."""

    clients: PositiveInt
    edges: NonNegativeInt  # 0: flat, the clients talk to the root
    edge_rounds: PositiveInt
    participation: Share
    homes: list[list[NonNegativeInt]] | None
    quorum: Share
    round_timeout: PositiveFloat
    rejoin_timeout: NonNegativeFloat


class FixedAssignment(Section):
    """Every client at its first home, always."""

    kind: Literal["fixed"]


class RandomAssignment(Section):
    """Every client at a home drawn uniformly, anew for each edge round."""

    kind: Literal["random"]


class HomogeneityAssignment(Section):
    """FedPhD's draw by statistical homogeneity (the authors' code, `select_best_edge_server`)."""

    kind: Literal["homogeneity"]
    a: PositiveFloat
    b: float
    count: Literal["before", "merged"]


AssignmentConfig = Annotated[FixedAssignment | RandomAssignment | HomogeneityAssignment, Field(discriminator="kind")]


class WeightingConfig(Section):
    """How much each member of an average counts (`conf/weighting/`)."""

    kind: Literal["samples", "homogeneity"]
    a: NonNegativeFloat = 0.0
    b: float = 0.0


class TiersWeighting(Section):
    """The weighting of each tier's average."""

    edge: WeightingConfig
    root: WeightingConfig


class StructureConfig(Section):
    """When and how the U-Net is pruned (`conf/structure/`)."""

    kind: Literal["dense", "at_start", "sparse_then_prune"]
    ratio: Ratio = 0.0
    sparse_rounds: PositiveInt | None = None


# --- model and data --------------------------------------------------------------------------


class ModelConfig(Section):
    """A diffusers `UNet2DModel` (`conf/model/`)."""

    name: str
    unet: dict[str, object]


class DiffusionConfig(Section):
    """The forward process and the sampler (`diffusion` in `conf/config.yaml`)."""

    timesteps: PositiveInt
    beta_schedule: Literal["linear", "squaredcos_cap_v2"]
    beta_start: PositiveFloat
    beta_end: PositiveFloat
    sampler_steps: PositiveInt
    eta: Annotated[float, Field(ge=0, le=1)]


class DataConfig(Section):
    """The images (`conf/data/`)."""

    kind: Literal["digits", "fashion_mnist", "cifar10", "npz", "folder"]
    root: UserPath | None = None
    path: UserPath | None = None
    size: PositiveInt | None = None
    limit: PositiveInt | None = None
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    download: bool = False
    empty_classes: bool = False


class PartitionConfig(Section):
    """Which client holds which images (`conf/partition/`)."""

    kind: Literal["iid", "pathological", "dirichlet", "quantity", "own"]
    classes_per_client: PositiveInt | None = None
    alpha: PositiveFloat | None = None
    min_samples: PositiveInt = 1


# --- evaluation and runtime ------------------------------------------------------------------


EXTRACTORS = ("fd_classifier", "inception")
INCEPTION_SPLITS = 10  # parts of the generated images that the Inception score is computed over


class EvaluationConfig(Section):
    """What the root measures and draws (`conf/evaluation/`)."""

    every: PositiveInt
    grid_images: PositiveInt
    images: NonNegativeInt
    batch_size: PositiveInt
    extractor: str | None  # a name of EXTRACTORS, or the import path package.module:attribute
    inception_weights: UserPath | None = None
    real_images: PositiveInt | None = None
    classifier_epochs: PositiveInt = 30


class PrivacyConfig(Section):
    """What a client tells about its data (`privacy` in `conf/config.yaml`)."""

    histogram_epsilon: PositiveFloat | None


class CheckpointConfig(Section):
    """What the root keeps on disk (`checkpoint` in `conf/config.yaml`)."""

    every: PositiveInt
    keep: PositiveInt
    resume: UserPath | None


class TrackingConfig(Section):
    """Where metrics go beside `metrics.jsonl` (`tracking` in `conf/config.yaml`)."""

    tensorboard: bool


class RuntimeConfig(Section):
    """Where the tiers run (`conf/runtime/`)."""

    name: str
    target: str = Field(alias="_target_")
    parallel_clients: PositiveInt
    gpus_per_client: NonNegativeFloat
    device: Literal["auto", "cpu", "cuda"]
    superlink: str | None
    root_certificates: UserPath | None
    insecure: bool


class ResourcesConfig(Section):
    """Limits of a client's container (`resources` in `conf/config.yaml`)."""

    client_cpus: PositiveFloat | None
    client_memory: Annotated[str, Field(pattern=r"^[1-9]\d*[mg]$")] | None


class Config(Section):
    """The whole run."""

    method: str
    seed: NonNegativeInt
    rounds: PositiveInt
    ema_decay: Ratio | None
    objective: ObjectiveConfig
    training: TrainingConfig
    assignment: AssignmentConfig
    weighting: TiersWeighting
    structure: StructureConfig
    topology: TopologyConfig
    model: ModelConfig
    diffusion: DiffusionConfig
    data: DataConfig
    partition: PartitionConfig
    evaluation: EvaluationConfig
    privacy: PrivacyConfig
    checkpoint: CheckpointConfig
    tracking: TrackingConfig
    runtime: RuntimeConfig
    resources: ResourcesConfig

    @property
    def edge_rounds(self) -> int:
        """Edge rounds in the whole run: root rounds times r_g."""
        return self.rounds * self.topology.edge_rounds

    @model_validator(mode="before")
    @classmethod
    def _fill_sparse_rounds(cls, tree: object) -> object:
        """Replace ``structure.sparse_rounds: null`` by a fifth of the rounds, so that every process reads a number."""
        if not isinstance(tree, dict):
            return tree
        structure, rounds = tree.get("structure"), tree.get("rounds")
        if not isinstance(structure, dict) or not isinstance(rounds, int):
            return tree
        if structure.get("kind") != "sparse_then_prune" or structure.get("sparse_rounds") is not None:
            return tree
        return {**tree, "structure": {**structure, "sparse_rounds": max(1, rounds // 5)}}

    def model_post_init(self, _context: object) -> None:
        """Check what needs more than one option.

        Raises
        ------
        SettingError
            If two options contradict each other.
        """
        _check_topology(self.topology)
        _check_structure(self)
        _check_data(self.data)
        _check_partition(self.partition, self.data)
        _check_evaluation(self.evaluation)


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


def _check_structure(config: Config) -> None:
    structure = config.structure
    if structure.kind == "dense":
        return
    if structure.ratio == 0:
        raise SettingError(
            "structure.ratio", structure.ratio, "prunes nothing; use a ratio above 0 and below 1, or structure=dense"
        )
    if structure.kind == "sparse_then_prune":
        assert structure.sparse_rounds is not None  # filled in before
        if structure.sparse_rounds > config.rounds:
            advice = f"is later than the last round, so nothing would be pruned; use at most rounds={config.rounds}"
            raise SettingError("structure.sparse_rounds", structure.sparse_rounds, advice)


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

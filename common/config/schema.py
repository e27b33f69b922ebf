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

from fedphd.common.config.checks import check

Ratio = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
# Made absolute at the first check, since a run's processes need not share a working folder.
UserPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


def _absolute_folder(text: str) -> str:
    path = Path(text).expanduser()
    return str(path.absolute()) if path.is_dir() or text.startswith((".", "~")) else text


FolderOrId = Annotated[str, AfterValidator(_absolute_folder)]  # a folder, or an id of the Hugging Face hub


class Section(BaseModel):
    """A group of options: unknown keys are refused, values never change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- client ----------------------------------------------------------------------------------


class ObjectiveConfig(Section):
    """What a client minimises (`conf/objective/`); a term with weight zero is off."""

    loss: Literal["mse", "huber"]
    sparsity: NonNegativeFloat
    proximal: NonNegativeFloat
    contrastive: NonNegativeFloat
    temperature: PositiveFloat
    control_variates: bool


class TrainingConfig(Section):
    """How a client trains in one edge round (`training` in `conf/config.yaml`)."""

    epochs: PositiveInt
    batch_size: PositiveInt
    optimizer: Literal["adam", "sgd"]
    lr: PositiveFloat
    warmup_steps: NonNegativeInt
    schedule: Literal["constant", "linear"]
    clip_norm: PositiveFloat | None
    flip: bool
    keep_optimizer: bool
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool


# --- what travels ----------------------------------------------------------------------------


class ExchangeConfig(Section):
    """Which parts of the U-Net travel (`conf/exchange/`)."""

    kind: Literal["full", "usplit", "ulatdec", "udec"]

    @property
    def keeps_parts(self) -> bool:
        """Whether each client keeps parts of its own, so that there is no global model."""
        return self.kind in ("ulatdec", "udec")


class CodecConfig(Section):
    """How the tensors of one hop and direction travel."""

    kind: Literal["float32", "float16", "bfloat16", "int8", "int4"]
    of: Literal["weights", "change"]
    error_feedback: bool
    zstd: Annotated[int, Field(strict=True, ge=1, le=22)] | None


class WaysCodec(Section):
    """The codec of each direction of a hop."""

    down: CodecConfig
    up: CodecConfig


class HopsCodec(Section):
    """The codecs of the hop between clients and edges, and of the one between edges and root (`conf/codec/`)."""

    access: WaysCodec
    backbone: WaysCodec


EXACT = CodecConfig(kind="float32", of="weights", error_feedback=False, zstd=None)


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


class PruningConfig(Section):
    """When and how the U-Net is pruned (`conf/pruning/`)."""

    kind: Literal["none", "at_start", "sparse_then_prune"]
    ratio: Ratio = 0.0
    sparse_rounds: PositiveInt | None = None


class CorrectionConfig(Section):
    """What the root does to a new global model (`conf/correction/`)."""

    kind: Literal["none", "each_round", "once"]
    local_epochs: PositiveInt = 1
    images: PositiveInt = 1
    chunk: PositiveInt = 1
    steps: PositiveInt = 1
    batch_size: PositiveInt = 1
    lr: PositiveFloat = 1e-4
    window: PositiveInt = 1
    threshold: float = 0.0


# --- model and data --------------------------------------------------------------------------


class AutoencoderConfig(Section):
    """A frozen diffusers autoencoder, in whose latent space the U-Net works."""

    path: FolderOrId | None
    subfolder: str | None
    image_size: PositiveInt
    image_channels: PositiveInt
    scaling: PositiveFloat | None
    batch_size: PositiveInt


class ModelConfig(Section):
    """A U-Net (`conf/model/`)."""

    name: str
    network: Literal["unet2d", "convnext"]
    unet: dict[str, object]
    autoencoder: AutoencoderConfig | None


class DiffusionConfig(Section):
    """The forward process and the sampler (`diffusion` in `conf/config.yaml`)."""

    timesteps: PositiveInt
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
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
    exchange: ExchangeConfig
    codec: HopsCodec
    assignment: AssignmentConfig
    weighting: TiersWeighting
    pruning: PruningConfig
    correction: CorrectionConfig
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
    def backbone(self) -> WaysCodec:
        """The codecs between edges and root; without an edge tier nothing is coded there, since nothing travels."""
        return self.codec.backbone if self.topology.edges else WaysCodec(down=EXACT, up=EXACT)

    @property
    def keeps_states(self) -> bool:
        """Whether clients or edges keep what belongs to the network's structure, and must be pruned with it."""
        objective = self.objective
        feedback = self.codec.access.up.error_feedback or self.backbone.up.error_feedback
        return self.exchange.keeps_parts or feedback or objective.control_variates or objective.contrastive > 0

    @property
    def edge_rounds(self) -> int:
        """Edge rounds in the whole run: root rounds times r_g."""
        return self.rounds * self.topology.edge_rounds

    @model_validator(mode="before")
    @classmethod
    def _fill_sparse_rounds(cls, tree: object) -> object:
        """Replace ``pruning.sparse_rounds: null`` by a fifth of the rounds, so that every process reads a number."""
        if not isinstance(tree, dict):
            return tree
        pruning, rounds = tree.get("pruning"), tree.get("rounds")
        if not isinstance(pruning, dict) or not isinstance(rounds, int):
            return tree
        if pruning.get("kind") != "sparse_then_prune" or pruning.get("sparse_rounds") is not None:
            return tree
        return {**tree, "pruning": {**pruning, "sparse_rounds": max(1, rounds // 5)}}

    def model_post_init(self, _context: object) -> None:
        """Check what needs more than one option.

        Raises
        ------
        SettingError
            If two options contradict each other.
        """
        check(self)

"""The typed tree that `conf/` must fit: one model per Hydra group, checked before anything starts.

The comments that explain each option to a user stand beside it in `conf/`; here stand its type,
its range and the checks that need more than one option.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from fedphd.common.choices import Affects, Carried, Section
from fedphd.common.config.adapters import ADAPTERS, Adapters, NoAdapters
from fedphd.common.config.checks import check
from fedphd.common.config.codec import EXACT, HopsCodec, WaysCodec
from fedphd.common.config.correction import CORRECTIONS, CorrectionConfig
from fedphd.common.config.outlets import CheckpointConfig, PrivacyConfig, ResourcesConfig
from fedphd.common.config.pruning import PRUNINGS, PruningConfig, fill_sparse_rounds
from fedphd.common.config.runtime import RUNTIMES, RuntimeConfig
from fedphd.common.config.topology import TopologyConfig
from fedphd.common.config.training import DiffusionConfig, TrainingConfig
from fedphd.common.config.types import CLASS_EMBEDS, FolderOrId, Ratio
from fedphd.common.config.weighting import TiersWeighting
from fedphd.common.data.data_set import DATA_SETS, DataSet
from fedphd.common.data.images import Split
from fedphd.common.data.partitions import PARTITIONS, Partition
from fedphd.common.errors import SettingError
from fedphd.common.paths import UserPath
from fedphd.common.training.samplers import SAMPLERS, SamplerConfig
from fedphd.common.wire.exchange import EXCHANGES, Exchange

# --- client ----------------------------------------------------------------------------------


class TermConfig(Carried):
    """A term of the objective (`conf/objective/term/`), and what other tiers than the client's must know of it."""

    weight: NonNegativeFloat
    keeps_previous: bool = False  # whether clients keep their last local model for it


class ObjectiveConfig(Section):
    """What a client minimises (`conf/objective/`)."""

    loss: str  # a name of DISTANCES, or the import path package.module:function
    control_variates: bool
    terms: dict[str, TermConfig]

    @property
    def keeps_previous(self) -> bool:
        """Whether clients keep their last local model."""
        return any(term.keeps_previous and term.weight > 0 for term in self.terms.values())


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
    """A U-Net (`conf/model/`), and what it starts from.

    Attributes
    ----------
    init : str or None
        A run, an export, a folder in diffusers' format or an id of the Hugging Face hub, whose weights are the first
        ones; None: they are drawn.
    init_hash : str or None
        `PackedModel.hash` of these weights; the start fills it in, so that all machines of a run mean the same ones.
    adapters : Adapters
        What is trained beside them; by default nothing: they are trained themselves.
    """

    name: str
    classes: Literal["labels"] | None = None  # what the U-Net is told of each image
    network: str  # a registered name, or the import path package.module:Class
    unet: dict[str, object]
    autoencoder: AutoencoderConfig | None
    init: FolderOrId | None = None
    init_hash: str | None = None
    adapters: Annotated[Adapters, ADAPTERS.at("model.adapters")] = NoAdapters(kind="none")

    def check(self, config: "Config") -> None:
        """Check that what is given belongs together.

        Raises
        ------
        SettingError
            If adapters have no given weights or these would be pruned, or a hash is of nothing.
        """
        if self.init is None and self.init_hash is not None:
            raise SettingError("model.init_hash", self.init_hash, "is of no weights; give them with model.init")
        self.adapters.check_with(config)

    @property
    def number_of_classes(self) -> int | None:
        """Number of classes that the U-Net is told; None where it is told none."""
        embeds = self.unet.get(CLASS_EMBEDS)
        return embeds - 1 if self.classes is not None and isinstance(embeds, int) else None


# --- evaluation and runtime ------------------------------------------------------------------


class EvaluationConfig(Section):
    """What the root measures and draws (`conf/evaluation/`).

    Options beyond these are the extractor's own: the root reads them (`fedphd.server.evaluation.extractor`).
    """

    model_config = ConfigDict(extra="allow")

    affects: ClassVar[Affects] = Affects.MEASUREMENT

    every: Annotated[PositiveInt, Affects.COURSE]
    grid_images: Annotated[PositiveInt, Affects.NOTHING]
    images: NonNegativeInt
    final_images: PositiveInt | None = None
    batch_size: Annotated[PositiveInt, Affects.NOTHING]
    extractor: str | None  # a registered name, or an import path package.module:attribute
    measures: list[str] = Field(default_factory=list)  # names of MEASURES, or import paths package.module:function
    reference: Split = "train"
    real_images: PositiveInt | None = None
    clients: Literal["trained", "averaged"] = "trained"  # with which model each draws, where there is no global one
    cache: Annotated[UserPath | None, Affects.NOTHING] = None
    # What clients are asked beside, which changes no measure of generated images:
    own: Annotated[bool, Affects.NOTHING] = False  # whether they measure the loss on images that they hold out
    own_images: Annotated[PositiveInt, Affects.NOTHING] = 100
    memorisation: Annotated[int, Field(ge=0, le=10_000), Affects.NOTHING] = 0  # images that they compare with theirs
    memorisation_features: Annotated[str, Affects.NOTHING] = "pixels"  # of FEATURES, or package.module:attribute

    def check(self, config: "Config") -> None:
        """Check that clients hold out the images that are asked about.

        Raises
        ------
        SettingError
            If they do not.
        """
        for name in ("own", "memorisation"):
            value = getattr(self, name)
            if value and not config.partition.holdout:
                advice = "needs images that the clients hold out; set partition.holdout too, as partition.holdout=0.1"
                if config.checkpoint.resume is not None:
                    off = str(type(value)(0)).lower()
                    advice = (
                        "needs images that the clients hold out; those of this run hold none out, and a run that has "
                        f"begun cannot change that; leave evaluation.{name}={off}, or start a new run"
                    )
                raise SettingError(f"evaluation.{name}", value, advice)

    def asks_clients(self, last: bool) -> bool:
        """Say whether clients are asked about their own images, at the end of a run or before."""
        return self.own or (last and self.memorisation > 0)

    def images_at(self, last: bool) -> int:
        """Give the generated images that are measured, at the end of a run or before."""
        return self.final_images if last and self.final_images is not None else self.images


class TrackerConfig(Carried):
    """Where metrics go in addition to `metrics.jsonl` (`conf/tracking/`); the root reads the tracker's options."""

    affects: ClassVar[Affects] = Affects.NOTHING


class Config(Section):
    """The whole run."""

    method: str
    seed: NonNegativeInt
    rounds: PositiveInt
    ema_decay: Ratio | None
    objective: ObjectiveConfig
    training: TrainingConfig
    exchange: Annotated[Exchange, EXCHANGES.at("exchange")]
    codec: HopsCodec
    assignment: Carried  # to the root (server/assignment/)
    weighting: TiersWeighting
    pruning: Annotated[PruningConfig, PRUNINGS.at("pruning")]
    correction: Annotated[CorrectionConfig, CORRECTIONS.at("correction")]
    topology: TopologyConfig
    model: ModelConfig
    diffusion: DiffusionConfig
    sampler: Annotated[SamplerConfig, SAMPLERS.at("sampler")]
    data: Annotated[DataSet, DATA_SETS.at("data")]
    partition: Annotated[Partition, PARTITIONS.at("partition")]
    evaluation: EvaluationConfig
    privacy: PrivacyConfig
    checkpoint: CheckpointConfig
    tracking: dict[str, TrackerConfig] = Field(default_factory=dict)  # by names of the user's choice
    runtime: Annotated[RuntimeConfig, RUNTIMES.at("runtime")]
    resources: ResourcesConfig

    @property
    def backbone(self) -> WaysCodec:
        """The codecs between edges and root; without an edge tier nothing is coded there, since nothing travels."""
        return self.codec.backbone if self.topology.edges else WaysCodec(down=EXACT, up=EXACT)

    @property
    def keeps_previous(self) -> bool:
        """Whether clients keep their last local model, all of it: for the objective, or to draw with it."""
        drawn = self.exchange.keeps_parts and self.evaluation.clients == "trained"
        return drawn or self.objective.keeps_previous

    @property
    def keeps_states(self) -> bool:
        """Whether clients or edges keep what belongs to the network's structure, and must be pruned with it."""
        objective = self.objective
        feedback = self.codec.access.up.error_feedback or self.backbone.up.error_feedback
        return self.exchange.keeps_parts or feedback or objective.control_variates or objective.keeps_previous

    @property
    def edge_rounds(self) -> int:
        """Edge rounds in the whole run: root rounds times r_g."""
        return self.rounds * self.topology.edge_rounds

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, tree: object) -> object:
        return fill_sparse_rounds(tree)

    def model_post_init(self, _context: object) -> None:
        """Check what needs more than one option.

        Raises
        ------
        SettingError
            If two options contradict each other.
        """
        check(self)

"""The configuration: its schema, and how it is composed, checked and carried to every process."""

from fedphd.common.config.codec import EXACT, AccessCodec, BackboneCodec, HopsCodec, WaysCodec
from fedphd.common.config.correction import CorrectionConfig, FineTuning
from fedphd.common.config.identity import affects, decides, default
from fedphd.common.config.load import (
    compose,
    from_run_config,
    from_yaml,
    leaves,
    run_folder,
    to_run_config,
    to_yaml,
    validate,
)
from fedphd.common.config.outlets import CheckpointConfig
from fedphd.common.config.pruning import PruningConfig
from fedphd.common.config.runtime import RuntimeConfig
from fedphd.common.config.schema import (
    AutoencoderConfig,
    Config,
    EvaluationConfig,
    ModelConfig,
    ObjectiveConfig,
    TermConfig,
    TrackerConfig,
)
from fedphd.common.config.topology import TopologyConfig
from fedphd.common.config.training import DiffusionConfig, TrainingConfig
from fedphd.common.config.types import CLASS_EMBEDS
from fedphd.common.config.weighting import TiersWeighting

__all__ = [
    "CLASS_EMBEDS",
    "EXACT",
    "AccessCodec",
    "AutoencoderConfig",
    "BackboneCodec",
    "CheckpointConfig",
    "Config",
    "CorrectionConfig",
    "DiffusionConfig",
    "EvaluationConfig",
    "FineTuning",
    "HopsCodec",
    "ModelConfig",
    "ObjectiveConfig",
    "PruningConfig",
    "RuntimeConfig",
    "TermConfig",
    "TiersWeighting",
    "TopologyConfig",
    "TrackerConfig",
    "TrainingConfig",
    "WaysCodec",
    "affects",
    "compose",
    "decides",
    "default",
    "from_run_config",
    "from_yaml",
    "leaves",
    "run_folder",
    "to_run_config",
    "to_yaml",
    "validate",
]

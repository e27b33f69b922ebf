"""The configuration: its schema, and how it is composed, checked and carried to every process."""

from common.config.load import compose, from_run_config, from_yaml, run_folder, to_run_config, to_yaml, validate
from common.config.schema import (
    AssignmentConfig,
    Config,
    DataConfig,
    DiffusionConfig,
    EvaluationConfig,
    ModelConfig,
    ObjectiveConfig,
    PartitionConfig,
    RuntimeConfig,
    StructureConfig,
    TopologyConfig,
    TrackingConfig,
    TrainingConfig,
    WeightingConfig,
)

__all__ = [
    "AssignmentConfig",
    "Config",
    "DataConfig",
    "DiffusionConfig",
    "EvaluationConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "PartitionConfig",
    "RuntimeConfig",
    "StructureConfig",
    "TopologyConfig",
    "TrackingConfig",
    "TrainingConfig",
    "WeightingConfig",
    "compose",
    "from_run_config",
    "from_yaml",
    "run_folder",
    "to_run_config",
    "to_yaml",
    "validate",
]

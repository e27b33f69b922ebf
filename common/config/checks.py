"""Checks of the configuration that need more than one option."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedphd.common.choices import Section
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config, DataConfig, EvaluationConfig

EXTRACTORS = ("fd_classifier", "inception")
INCEPTION_SPLITS = 10  # parts of the generated images that the Inception score is computed over


def check(config: Config) -> None:
    """Check what needs more than one option.

    Raises
    ------
    SettingError
        If two options contradict each other, or one would have no effect.
    """
    for name in type(config).model_fields:
        section = getattr(config, name)
        if isinstance(section, Section):
            section.check(config)
    _check_data(config.data)
    _check_evaluation(config.evaluation)


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

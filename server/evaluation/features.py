"""Feature extractors: what turns images into the vectors between which distances are measured."""

import importlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fedphd.common.config import Config
from fedphd.common.data.images import Pixels
from fedphd.common.data.loading import load
from fedphd.common.errors import SettingError
from fedphd.common.training.compute import threads
from fedphd.server.evaluation.classifier import Classifier, train_classifier
from fedphd.server.evaluation.frechet import Array


class Extractor(Protocol):
    """A feature extractor; making one is cheap, its network comes with the first use.

    Attributes
    ----------
    metric : str
        Name of the Fréchet distance over its features.
    """

    metric: str

    def features(self, images: Pixels) -> Array:
        """Map images (n, C, H, W) to features (n, d)."""

    def scores(self, images: Pixels) -> dict[str, float]:
        """Measure what else it can tell about generated images (n, C, H, W)."""


class ClassifierFeatures:
    """Features of a small classifier of the run's own real images, kept in a file of the run.

    Parameters
    ----------
    config : Config
        Names the data, the seed and the epochs.
    file : Path
        Holds the classifier's weights once it is trained, in safetensors.
    """

    metric = "fd_classifier"

    def __init__(self, config: Config, file: Path) -> None:
        self.config = config
        self.file = file

    @cached_property
    def model(self) -> Classifier:
        """The classifier, read from its file or trained now."""
        images = load(self.config.data, "train", self.config.seed)
        if self.file.exists():
            model = Classifier(images.shape, len(images.class_names)).eval().requires_grad_(False)
            model.load_state_dict(load_file(self.file))
            return model
        model = train_classifier(images, self.config.evaluation.classifier_epochs, self.config.seed)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_suffix(".draft")
        save_file(model.state_dict(), draft)
        draft.replace(self.file)
        return model

    def features(self, images: Pixels) -> Array:
        """Map images (n, C, H, W) to penultimate activations (n, 64), on one CPU thread."""
        with threads(1):
            return in_batches(self.model.features, images, self.config.evaluation.batch_size)

    def scores(self, images: Pixels) -> dict[str, float]:
        """Give the share of the images that falls to each class, which shows classes that are lost."""
        names = load(self.config.data, "train", self.config.seed).class_names
        with threads(1):
            chosen = in_batches(self.model, images, self.config.evaluation.batch_size).argmax(1)
        shares = np.bincount(chosen, minlength=len(names)) / len(images)
        return {f"class_share/{name}": float(share) for name, share in zip(names, shares, strict=True)}


class ImportedFeatures:
    """Features by a function, or an instance of a class, of the user's own.

    It is called with a uint8 tensor (n, C, H, W) on the evaluation's device and returns a tensor
    (n, d). A class is instantiated without arguments; a `torch.nn.Module` is moved to the device and
    put into evaluation mode.

    Parameters
    ----------
    path : str
        ``package.module:attribute``.
    batch_size : int
        Images per call.
    device : torch.device
        Where the images lie.

    Raises
    ------
    SettingError
        If it cannot be imported or called, or would take the built-in classifier's name.
    """

    def __init__(self, path: str, batch_size: int, device: torch.device) -> None:
        self.path = path
        self.batch_size = batch_size
        self.device = device
        self.metric = f"fd_{path.partition(':')[2].lower()}"
        self._found = self._import()
        if self.metric == ClassifierFeatures.metric:
            raise self._error(f"would be shown as {self.metric}, the built-in one's name; rename it")

    @cached_property
    def model(self) -> Callable[[Tensor], Any]:
        """What is called."""
        model = self._found() if isinstance(self._found, type) else self._found
        return model.to(self.device).eval() if isinstance(model, nn.Module) else model

    def features(self, images: Pixels) -> Array:
        """Map images (n, C, H, W) to features (n, d).

        Raises
        ------
        SettingError
            If what comes back is anything else than finite features, one row for each image.
        """
        return in_batches(self._checked, images, self.batch_size, self.device)

    def scores(self, images: Pixels) -> dict[str, float]:  # noqa: ARG002
        """Tell nothing else."""
        return {}

    def _checked(self, batch: Tensor) -> Tensor:
        features = self.model(batch)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(batch):
            given = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise self._error(f"returned {given}; must return a tensor of shape (n, d), here n={len(batch)}")
        if not features.isfinite().all():
            raise self._error("returned features that are not finite")
        return features

    def _import(self) -> Any:
        module, _, attribute = self.path.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # the user's module may raise anything
            raise self._error(
                f"cannot be imported ({error}); give package.module:attribute, and put its folder on PYTHONPATH"
            ) from error
        if not callable(found):
            raise self._error("cannot be called; must be a function or a class that maps images to features")
        return found

    def _error(self, advice: str) -> SettingError:
        return SettingError("evaluation.extractor", self.path, advice)


def in_batches(
    function: Callable[[Tensor], Tensor], images: Pixels, batch_size: int, device: torch.device | None = None
) -> Array:
    """Apply a function to images (n, C, H, W), batch by batch without gradients; returns its rows, on the CPU."""
    with torch.inference_mode():
        return np.concatenate(
            [
                function(torch.from_numpy(images[start : start + batch_size]).to(device)).double().cpu().numpy()
                for start in range(0, len(images), batch_size)
            ]
        )

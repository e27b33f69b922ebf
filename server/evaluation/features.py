"""Features of images: the vectors between whose distributions a distance is measured."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedphd.common.data.images import Indices, Pixels
from fedphd.common.errors import SettingError
from fedphd.server.evaluation.frechet import Array
from fedphd.server.evaluation.workbench import Workbench


class Features(ABC):
    """Maps images to features; making one is cheap, its network comes with the first use."""

    @abstractmethod
    def features(self, images: Pixels) -> Array:
        """Map images (n, C, H, W) to features (n, d)."""

    def fingerprint(self, probe: Pixels) -> str:
        """Tell these features from others, with other weights too, by what they make of some images (n, C, H, W)."""
        return hashlib.sha256(self.features(probe).tobytes()).hexdigest()

    def scores(self, images: Pixels) -> dict[str, float]:  # noqa: ARG002
        """Measure what else it can tell about generated images (n, C, H, W); here nothing."""
        return {}

    def recognised(self, images: Pixels, labels: Indices) -> dict[str, float]:  # noqa: ARG002
        """Measure whether images (n, C, H, W) show the classes (n,) that were asked for; here nothing."""
        return {}


class NetworkFeatures(Features):
    """Features by a network of the user's own.

    Parameters
    ----------
    make : Callable[[], Callable]
        Gives, at the first use, what is called with a uint8 tensor (n, C, H, W) on the device and returns a tensor
        (n, d). A `torch.nn.Module` is moved to the device and put into evaluation mode.
    name : str
        What `evaluation.extractor` says, for errors.
    bench : Workbench
        Says where the images lie, and how many there are in a call.
    """

    def __init__(self, make: Callable[[], Callable[[Tensor], Any]], name: str, bench: Workbench) -> None:
        self.make = make
        self.name = name
        self.bench = bench
        self._network: Callable[[Tensor], Any] | None = None

    def features(self, images: Pixels) -> Array:
        """Map images (n, C, H, W) to features (n, d).

        Raises
        ------
        SettingError
            If what comes back is anything else than finite features, one row for each image.
        """
        return in_batches(self._checked, images, self.bench.batch_size, self.bench.device)

    def _checked(self, batch: Tensor) -> Tensor:
        if self._network is None:
            made = self.make()
            self._network = made.to(self.bench.device).eval() if isinstance(made, nn.Module) else made
        features = self._network(batch)
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(batch):
            given = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise self._error(f"returned {given}; must return a tensor of shape (n, d), here n={len(batch)}")
        if not features.isfinite().all():
            raise self._error("returned features that are not finite")
        return features

    def _error(self, advice: str) -> SettingError:
        return SettingError("evaluation.extractor", self.name, advice)


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

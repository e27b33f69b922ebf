"""FID and Inception score over clean-fid's Inception-v3."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from scipy.special import rel_entr
from torch import Tensor

from fedphd.common.choices import Affects
from fedphd.common.data.images import Pixels
from fedphd.common.errors import SettingError
from fedphd.common.paths import UserPath, reachable
from fedphd.server.evaluation.extractor import EXTRACTORS, Extractor
from fedphd.server.evaluation.features import Features, in_batches
from fedphd.server.evaluation.frechet import Array
from fedphd.server.evaluation.workbench import Workbench

KEY = "evaluation.inception_weights"
FILE_NAME = "inception-2015-12-05.pt"  # clean-fid looks for no other
SPLITS = 10  # parts of the generated images that the Inception score is computed over


@EXTRACTORS.register("inception")
class InceptionExtractor(Extractor):
    """FID and Inception score.

    Attributes
    ----------
    inception_weights : Path or None
        The file ``inception-2015-12-05.pt``.
    """

    fewest: ClassVar[int] = SPLITS
    inception_weights: Annotated[UserPath | None, Affects.NOTHING] = None

    @property
    def metric(self) -> str:
        """Name of the distance."""
        return "fid"

    @property
    def over(self) -> str:
        """What its features are called in the names of other measures."""
        return "inception"

    def build(self, bench: Workbench) -> "InceptionFeatures":
        """Make the features.

        Raises
        ------
        SettingError
            If there is no such file.
        """
        if self.inception_weights is None:
            raise SettingError(KEY, None, f"give the path of {FILE_NAME}, or use evaluation=fd_classifier")
        return InceptionFeatures(self.inception_weights, bench.batch_size, bench.device)


class InceptionFeatures(Features):
    """The TorchScript translation of the original Inception-v3 graph, as clean-fid wraps it.

    Parameters
    ----------
    weights : Path
        Its file, ``inception-2015-12-05.pt``.
    batch_size : int
        Images per pass.
    device : torch.device
        Where it runs.

    Raises
    ------
    SettingError
        If there is no such file.
    """

    def __init__(self, weights: Path, batch_size: int, device: torch.device) -> None:
        if weights.name != FILE_NAME or not (reachable(weights) and weights.is_file()):
            raise SettingError(KEY, weights, f"no such file, or another name; give the path of {FILE_NAME}")
        self.weights = weights
        self.batch_size = batch_size
        self.device = device

    @cached_property
    def model(self) -> InceptionV3W:
        """The network, read from its file."""
        try:
            return InceptionV3W(str(self.weights.parent), download=False).to(self.device)
        except (RuntimeError, ValueError, AttributeError) as error:
            cause = str(error).split("\n")[0]
            raise SettingError(KEY, self.weights, f"is not the Inception network ({cause}); fetch it again") from None

    def features(self, images: Pixels) -> Array:
        """Map images (n, C, H, W) to pool features (n, 2048), resized as clean-fid does (Parmar et al. 2022)."""
        return in_batches(lambda batch: self.model(self._resized(batch)), images, self.batch_size)

    def fingerprint(self, probe: Pixels) -> str:  # noqa: ARG002
        """Name the network by its file, since its last digits may depend on the machine."""
        with self.weights.open("rb") as file:
            return f"clean-fid {hashlib.file_digest(file, 'sha256').hexdigest()}"

    def scores(self, images: Pixels) -> dict[str, float]:
        """Give the Inception score's mean and standard deviation.

        As in the original, the graph resizes the images itself and its last layer has no bias.
        """
        probabilities = in_batches(
            lambda batch: self.model.base(_rgb(batch), no_output_bias=True), images, self.batch_size, self.device
        )
        mean, std = inception_score(probabilities)
        return {"is_mean": mean, "is_std": std}

    def _resized(self, batch: Tensor) -> Tensor:
        resize = build_resizer("clean")
        resized = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in _rgb(batch)])
        return torch.from_numpy(resized).permute(0, 3, 1, 2).to(self.device)


def inception_score(probabilities: Array, splits: int = SPLITS) -> tuple[float, float]:
    """Compute the Inception score exp(E_x KL(p(y|x) || p(y))) (Salimans et al. 2016, section 4).

    Parameters
    ----------
    probabilities : NDArray[float64]
        p(y|x), shape (n, K).
    splits : int
        Parts of the images, at most n, each scored by itself.

    Returns
    -------
    tuple[float, float]
        Mean and standard deviation over the parts; from 1 (worst) to K.
    """
    scores = [np.exp(rel_entr(part, part.mean(0)).sum(1).mean()) for part in np.array_split(probabilities, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _rgb(batch: Tensor) -> Tensor:
    return batch.expand(-1, 3, -1, -1)

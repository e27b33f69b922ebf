"""What is kept of the real images' features: the Gaussian of all, and some of them as they are."""

import logging
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedphd.common.training.seeding import numpy_rng
from fedphd.server.evaluation.frechet import Array, Gaussian, fit_gaussian, frechet_distance

MOST_KEPT = 10_000  # features that are kept as they are: 82 MB of Inception's
DRAWS = 10  # of real images, for the floor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Statistics:
    """Of the features of real images.

    Attributes
    ----------
    gaussian : Gaussian
        Of all of them.
    features : NDArray[float32]
        Some of them, shape (m, d).
    images : int
        n, of how many images they are.
    """

    gaussian: Gaussian
    features: NDArray[np.float32]
    images: int

    @classmethod
    def of(cls, features: Array) -> Self:
        """Take from features, shape (n, d): of more than 10,000 so many are drawn, the same for every run."""
        kept = numpy_rng(0, "evaluation", "kept").permutation(len(features))[:MOST_KEPT]
        return cls(fit_gaussian(features), features[np.sort(kept)].astype(np.float32), len(features))

    def floor(self, images: int, seed: int) -> tuple[float, float]:
        """Measure real images against themselves: the Fréchet distance that this many would score.

        They are drawn with replacement from the kept ones, and measured against all of these: so would a model score
        that drew these images and no others, each equally likely. It is not zero, since few images have another mean
        and covariance than many (ours).

        Parameters
        ----------
        images : int
            As many as are generated.
        seed : int
            The run's seed.

        Returns
        -------
        tuple[float, float]
            Mean and standard deviation over ten draws.
        """
        features = self.features.astype(np.float64)
        whole, distances = fit_gaussian(features), []
        for draw in range(DRAWS):
            drawn = numpy_rng(seed, "evaluation", "floor", images, draw).integers(len(features), size=images)
            counts = np.bincount(drawn, minlength=len(features))
            distances.append(frechet_distance(whole, fit_gaussian(features, counts)))
        return float(np.mean(distances)), float(np.std(distances, ddof=1))

    def save(self, file: Path) -> None:
        """Write to a file that appears whole or not at all; its folder is made.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{os.getpid()}.draft")  # several runs may write the same
        with draft.open("wb") as target:
            mean, covariance = self.gaussian.mean, self.gaussian.covariance
            np.savez(target, mean=mean, covariance=covariance, features=self.features, images=self.images)
        draft.replace(file)


def read_statistics(file: Path) -> Statistics | None:
    """Read what `Statistics.save` wrote; None if there is no such file, or, with a warning, if it is damaged.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            gaussian = Gaussian(archive["mean"], archive["covariance"])
            found = Statistics(gaussian, archive["features"], int(archive["images"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s) and is made again", file, " ".join(str(error).split()))
        return None
    return found

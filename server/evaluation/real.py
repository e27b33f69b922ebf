"""The real images' side of a distance, computed once per run."""

from pathlib import Path

import numpy as np

from fedphd.common.data.images import ImageSet
from fedphd.common.training.seeding import numpy_rng
from fedphd.server.evaluation.features import Features
from fedphd.server.evaluation.frechet import Gaussian, fit_gaussian


def real_gaussian(images: ImageSet, features: Features, file: Path, seed: int, most: int | None) -> Gaussian:
    """Fit the features of real images, or read the fit of an earlier call.

    Parameters
    ----------
    images : ImageSet
        Of more than `most`, so many are drawn by `seed`.
    features : Features
        Maps them to features.
    file : Path
        Holds mean and covariance once they are computed.
    seed : int
        The run's seed.
    most : int or None
        `evaluation.real_images`; None: all.
    """
    if file.exists():
        with np.load(file, allow_pickle=False) as archive:
            return Gaussian(archive["mean"], archive["covariance"])
    drawn = numpy_rng(seed, "evaluation", "real").permutation(len(images))[:most]
    fitted = fit_gaussian(features.features(images.images(np.sort(drawn))))
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    with draft.open("wb") as target:
        np.savez(target, mean=fitted.mean, covariance=fitted.covariance)
    draft.replace(file)
    return fitted

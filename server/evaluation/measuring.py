"""Measuring images against real ones, over the features of one extractor."""

from functools import cache, cached_property

from fedphd.common.data.images import Indices, Pixels, Split
from fedphd.common.errors import SettingError
from fedphd.server.evaluation.extractor import Extractor
from fedphd.server.evaluation.frechet import Array, fit_gaussian, frechet_distance
from fedphd.server.evaluation.measures import Clouds, check_counts, fewest, find_measures, take
from fedphd.server.evaluation.real import RealImages, available, check_real
from fedphd.server.evaluation.statistics import Statistics
from fedphd.server.evaluation.workbench import Workbench

OTHER: dict[Split, Split] = {"train": "holdout", "holdout": "train"}


class Measuring:
    """The Fréchet distance to the real images of `evaluation.reference`, and `evaluation.measures` beside it.

    Parameters
    ----------
    extractor : Extractor
        Gives the features.
    bench : Workbench
        Says of which images, and where what is computed of real ones is kept.

    Raises
    ------
    SettingError
        If a measure cannot be imported, there are too few images for one, or something that the extractor needs is
        missing.
    """

    def __init__(self, extractor: Extractor, bench: Workbench) -> None:
        self.extractor = extractor
        self.config = bench.config
        self.settings = bench.config.evaluation
        self.seed = bench.config.seed
        self.measures = find_measures(self.settings.measures)
        self.fewest = fewest(self.measures)
        self._check_counts()
        self.features = extractor.build(bench)
        self.real = RealImages(bench, extractor.metric, self.features)

    def measure(self, images: Pixels, labels: Indices | None = None) -> dict[str, float]:
        """Measure generated images (n, C, H, W), and if they were asked by class, (n,), whether they show it."""
        generated = self.features.features(images)
        distance = frechet_distance(self._reference.gaussian, fit_gaussian(generated))
        asked = {} if labels is None else self.features.recognised(images, labels)
        return {self.extractor.metric: distance} | self.features.scores(images) | asked | self._further(generated)

    def references(self, images: int) -> dict[str, float]:
        """Give what real images score.

        Parameters
        ----------
        images : int
            As many as are generated.

        Returns
        -------
        dict[str, float]
            ``<metric>_reference``: all images of the split that is not `evaluation.reference`, which a perfect model
            would come about as near as, with as many images; likewise for each of `evaluation.measures`. Not where
            this split has fewer images than a measure needs, as without held-out images. ``<metric>_floor`` and
            ``<metric>_floor_std``: what as many images as are generated score that are drawn from the reference
            itself, as mean and standard deviation over draws.
        """
        mean, std = self._floor(images)
        metric = self.extractor.metric
        return self._of_other_split | {f"{metric}_floor": mean, f"{metric}_floor_std": std}

    def _check_counts(self) -> None:
        settings = self.settings
        last = settings.images_at(last=True)
        check_counts(self.measures, {"evaluation.images": settings.images, "evaluation.final_images": last})
        if settings.real_images is not None and settings.real_images < self.fewest:
            advice = f"too few to measure with; use at least {self.fewest}, or null for all"
            raise SettingError("evaluation.real_images", settings.real_images, advice)

    def there(self, split: Split) -> bool:
        """Say whether a split has images enough to measure: by the user's choice none may be held out."""
        return available(self.config, split) >= self.fewest

    @cached_property
    def _reference(self) -> Statistics:
        check_real(self.config, self.fewest)
        return self.real.kept(self.settings.reference).statistics

    @cached_property
    def _of_other_split(self) -> dict[str, float]:
        split = OTHER[self.settings.reference]
        if not self.there(split):
            return {}
        other = self.real.kept(split).statistics
        found = {self.extractor.metric: frechet_distance(self._reference.gaussian, other.gaussian)}
        found |= self._further(other.features.astype(float))
        return {f"{key}_reference": value for key, value in found.items()}

    @cache  # noqa: B019 - one lives as long as its run
    def _floor(self, images: int) -> tuple[float, float]:
        return self._reference.floor(images, self.seed)

    def _further(self, generated: Array) -> dict[str, float]:
        """Take the measures of `evaluation.measures`."""
        if not self.measures:
            return {}
        real = self._reference.features.astype(float)
        return take(self.measures, Clouds(real, generated, self.extractor.over, self.seed))

"""The real images' side of what is measured: computed once, and kept in the run folder or in a cache of all runs."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedphd.common.data import Split, load
from fedphd.common.data.images import ImageSet, Indices
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng
from fedphd.server.evaluation.features import Features
from fedphd.server.evaluation.statistics import MOST_KEPT, Statistics, read_statistics
from fedphd.server.evaluation.workbench import Workbench

BLOCK = 5_000  # images that are decoded at once to be hashed
PROBE = 16  # images by which an extractor is told from another
LAYOUT = 1  # of the cached files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """Statistics of one split.

    Attributes
    ----------
    statistics : Statistics
        What is kept of the features.
    file : Path or None
        Where; None: it could not be written.
    made : bool
        Whether they were computed now, and not found there.
    """

    statistics: Statistics
    file: Path | None
    made: bool


class RealImages:
    """Statistics of the real images that a run is measured against, by split.

    With `evaluation.cache` they lie there, under a hash of the images themselves and of what the extractor makes of
    them, and are the same file for all runs; without, in the run folder.

    Parameters
    ----------
    bench : Workbench
        Names the data; its folder takes the files where there is no cache.
    metric : str
        Begins the files' names.
    features : Features
        Maps images to features.
    """

    def __init__(self, bench: Workbench, metric: str, features: Features) -> None:
        self.config = bench.config
        self.folder = bench.folder
        self.metric = metric
        self.features = features
        self._kept: dict[Split, Kept] = {}

    def there(self, split: Split) -> bool:
        """Say whether a split has images enough for statistics: by the user's choice none may be held out."""
        try:
            return split == "train" or len(load(self.config.data, split, self.config.seed)) > 1
        except SettingError as error:
            if error.key != "data.holdout":
                raise
            return False

    @property
    def reused(self) -> dict[Split, Kept]:
        """What was found in the cache so far."""
        in_cache = self.config.evaluation.cache is not None
        return {split: kept for split, kept in self._kept.items() if in_cache and not kept.made}

    def kept(self, split: Split) -> Kept:
        """Find or compute the statistics of a split, once.

        Raises
        ------
        SettingError
            If its images cannot be read.
        """
        if split not in self._kept:
            self._kept[split] = self._find(split)
        return self._kept[split]

    def _find(self, split: Split) -> Kept:
        images = load(self.config.data, split, self.config.seed)
        order = numpy_rng(self.config.seed, "evaluation", "real").permutation(len(images))
        chosen = np.sort(order[: self.config.evaluation.real_images])
        file = self._file(split, images, chosen)
        found = read_statistics(file)
        if found is not None:
            return Kept(found, file, made=False)
        made = Statistics.of(self.features.features(images.images(chosen)))
        return Kept(made, self._save(made, file), made=True)

    def _file(self, split: Split, images: ImageSet, chosen: Indices) -> Path:
        cache = self.config.evaluation.cache
        if cache is None:
            return self.folder / f"{self.metric}_{split}.npz"
        extractor = self.features.fingerprint(images.images(chosen[:PROBE]))
        text = json.dumps([LAYOUT, MOST_KEPT, extractor, content_hash(images, chosen)])
        return cache / f"{self.metric}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"

    def _save(self, made: Statistics, file: Path) -> Path | None:
        try:
            made.save(file)
        except OSError as error:
            if self.config.evaluation.cache is None:
                raise
            log.warning("evaluation.cache=%s cannot be written (%s): its statistics are not kept", file.parent, error)
            return None
        return file


def content_hash(images: ImageSet, chosen: Indices) -> str:
    """Hash the pixels of the chosen images, in their order, wherever they were read from."""
    found = hashlib.sha256(json.dumps(images.shape).encode())
    for start in range(0, len(chosen), BLOCK):
        found.update(images.images(chosen[start : start + BLOCK]).tobytes())
    return found.hexdigest()

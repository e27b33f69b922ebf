"""The real images' side of what is measured: computed once, and kept in the run folder or in a cache of all runs."""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedphd.common.config import Config
from fedphd.common.data import Split, load
from fedphd.common.data.cache import keep, name_of
from fedphd.common.data.images import ImageSet, Indices, Pixels
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng
from fedphd.server.evaluation.features import Features
from fedphd.server.evaluation.statistics import MOST_KEPT, Statistics, read_statistics
from fedphd.server.evaluation.workbench import Workbench

BLOCK = 1_000  # images that are decoded at once: 200 MB of 256x256 in colour
SPLITS: tuple[Split, Split] = ("train", "holdout")
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
        Where; None: the cache could not be read or written.
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
        data, seed = self.config.data, self.config.seed
        images = load(data, split, seed)
        order = numpy_rng(seed, "evaluation", "real").permutation(len(images))
        chosen = np.sort(order[: self.config.evaluation.real_images])
        if data.kept_at is not None:
            name = name_of(data, split, seed, len(chosen))
            images, chosen = keep(images.subset(chosen), data.kept_at, name), np.arange(len(chosen))
        file = self._file(split, images, chosen)
        try:
            found = read_statistics(file)
        except OSError as error:
            self._excuse(error, file, "read")
            return Kept(self._made(images, chosen), None, made=True)
        if found is not None:
            return Kept(found, file, made=False)
        made = self._made(images, chosen)
        return Kept(made, self._save(made, file), made=True)

    def _made(self, images: ImageSet, chosen: Indices) -> Statistics:
        return Statistics.of(np.concatenate([self.features.features(block) for block in blocks(images, chosen)]))

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
            self._excuse(error, file, "written")
            return None
        return file

    def _excuse(self, error: OSError, file: Path, what: str) -> None:
        """Warn that the cache cannot be used: it saves time, and no run may end for it."""
        if self.config.evaluation.cache is None:
            raise error
        log.warning("evaluation.cache=%s cannot be %s (%s): the statistics are not kept", file.parent, what, error)


def check_real(config: Config, fewest: int) -> None:
    """Find out before a run whether its real images can be measured with; of the other split too, which is measured.

    Parameters
    ----------
    config : Config
        The run's configuration; `data` is what the root evaluates with.
    fewest : int
        Images that are needed.

    Raises
    ------
    SettingError
        If a split cannot be read, or that of `evaluation.reference` has too few images.
    """
    counts = {split: available(config, split) for split in SPLITS}
    split = config.evaluation.reference
    if counts[split] < fewest:
        how = "hold out more (data.holdout), or use train" if split == "holdout" else "use more"
        advice = f"has {counts[split]} images, and {fewest} are needed to measure with; {how}"
        raise SettingError("evaluation.reference", split, advice)


def available(config: Config, split: Split) -> int:
    """Count the images of a split; none, if the user's choice holds none out.

    Raises
    ------
    SettingError
        If they cannot be read.
    """
    try:
        return len(load(config.data, split, config.seed))
    except SettingError as error:
        if split == "train" or error.key != "data.holdout":
            raise
        return 0


def blocks(images: ImageSet, chosen: Indices) -> Iterator[Pixels]:
    """Decode the chosen images, in their order, some at a time: all of them may not fit into memory."""
    return (images.images(chosen[start : start + BLOCK]) for start in range(0, len(chosen), BLOCK))


def content_hash(images: ImageSet, chosen: Indices) -> str:
    """Hash the pixels of the chosen images, in their order, wherever they were read from."""
    found = hashlib.sha256(json.dumps(images.shape).encode())
    for block in blocks(images, chosen):
        found.update(block.tobytes())
    return found.hexdigest()

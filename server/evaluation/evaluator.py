"""Evaluating a global model: it draws images, which are shown and measured."""

import hashlib
import json
import time
from functools import cached_property
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.data import Split, load
from fedphd.common.data.holders import ROOT, holder_data
from fedphd.common.data.images import Pixels
from fedphd.common.errors import SettingError
from fedphd.common.network import UNet
from fedphd.common.training.compute import pick_device
from fedphd.common.training.sampling import Sampler
from fedphd.server.evaluation.extractors import read_extractor
from fedphd.server.evaluation.features import Features
from fedphd.server.evaluation.frechet import Gaussian, fit_gaussian, frechet_distance
from fedphd.server.evaluation.grid import save_grid
from fedphd.server.evaluation.real import real_gaussian
from fedphd.server.evaluation.workbench import Workbench


class Evaluator:
    """Draws sample grids and measures generated images against the real training images.

    What it measures follows from configuration and weights alone: each evaluation starts from the
    same noise, and a resumed run measures with the same classifier.

    Parameters
    ----------
    config : Config
        The run's configuration. Nothing is read or trained before the first evaluation.
    run_dir : Path
        Takes `samples/` and `evaluation/`.

    Raises
    ------
    SettingError
        If the extractor cannot be imported or used, or there is no such device.
    """

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.config = config.model_copy(update={"data": holder_data(config, ROOT)})
        self.run_dir = run_dir
        self.device = pick_device(config)
        self.extractor = read_extractor(config.evaluation)
        self._folder = self._folder_of_choices()
        self.features = self._build_features()

    def evaluate(self, round: int, unet: UNet) -> dict[str, float]:
        """Draw ``samples/round_0012.png`` and measure.

        Parameters
        ----------
        round : int
            Names the picture.
        unet : UNet
            Moved to the evaluation's device.

        Returns
        -------
        dict[str, float]
            By `evaluation.extractor`: ``fd_classifier`` and ``class_share/<class>``; ``fid``,
            ``is_mean`` and ``is_std``; ``fd_<name>``; or nothing. And ``evaluation_seconds``, which
            in a run's first evaluation hold the work on the real images too.
        """
        started = time.perf_counter()
        images = Sampler.of(self.config, self.device).draw(unet, self.images)
        self.show(round, images)
        return self.measure(images) | {"evaluation_seconds": time.perf_counter() - started}

    @property
    def images(self) -> int:
        """Images that one evaluation draws."""
        settings = self.config.evaluation
        return max(settings.grid_images, 0 if self.extractor is None else settings.images)

    def show(self, round: int, images: Pixels) -> None:
        """Save the first images as ``samples/round_0012.png``."""
        save_grid(images[: self.config.evaluation.grid_images], self.run_dir / "samples" / f"round_{round:04d}.png")

    def measure(self, images: Pixels) -> dict[str, float]:
        """Measure the first `evaluation.images` images; nothing without an extractor."""
        if self.features is None:
            return {}
        measured = images[: self.config.evaluation.images]
        distance = frechet_distance(self._real("train"), fit_gaussian(self.features.features(measured)))
        return {self.metric: distance} | self.features.scores(measured)

    def references(self) -> dict[str, float]:
        """Give ``<metric>_reference``: the distance between real training and real held-out images.

        A perfect model would come about as near with as many images. Empty without an extractor or
        without held-out images.

        Returns
        -------
        dict[str, float]
            One number, computed at the first call.
        """
        return {} if self.features is None else self._references

    @property
    def metric(self) -> str:
        """Name of the distance that is measured; of an evaluation with an extractor."""
        assert self.extractor is not None
        return self.extractor.metric

    @cached_property
    def _references(self) -> dict[str, float]:
        try:
            held_out = len(load(self.config.data, "holdout", self.config.seed))
        except SettingError as error:
            if error.key != "data.holdout":
                raise
            return {}  # the user's choice: every image is trained on
        if held_out < 2:
            return {}
        return {f"{self.metric}_reference": frechet_distance(self._real("train"), self._real("holdout"))}

    def _real(self, split: Split) -> Gaussian:
        assert self.features is not None
        images = load(self.config.data, split, self.config.seed)
        kept = self._folder / f"{self.metric}_{split}.npz"
        return real_gaussian(images, self.features, kept, self.config.seed, self.config.evaluation.real_images)

    def _build_features(self) -> Features | None:
        if self.extractor is None:
            return None
        return self.extractor.build(Workbench(self.config, self.device, self._folder))

    def _folder_of_choices(self) -> Path:
        """Give the folder of what later evaluations use, apart for each choice that it depends on."""
        choices = [
            self.config.seed,
            self.config.data.model_dump(mode="json"),
            None if self.extractor is None else self.extractor.model_dump(mode="json"),
            self.config.evaluation.real_images,
        ]
        tag = hashlib.sha256(json.dumps(choices).encode()).hexdigest()[:8]
        return self.run_dir / "evaluation" / tag

"""Evaluating a global model: it draws images, which are shown and measured."""

import hashlib
import json
import time
from functools import cached_property
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.data.holders import ROOT, holder_data
from fedphd.common.data.images import Pixels
from fedphd.common.data.loading import Split, load
from fedphd.common.errors import SettingError
from fedphd.common.network import UNet
from fedphd.common.network.autoencoder import autoencoder_of
from fedphd.common.training.compute import pick_device
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.sampling import draw
from fedphd.server.evaluation.features import ClassifierFeatures, Extractor, ImportedFeatures
from fedphd.server.evaluation.frechet import Gaussian, fit_gaussian, frechet_distance
from fedphd.server.evaluation.grid import save_grid
from fedphd.server.evaluation.inception import InceptionFeatures
from fedphd.server.evaluation.real import real_gaussian


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
        If the extractor cannot be imported, its weights are missing, or there is no such device.
    """

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.config = config.model_copy(update={"data": holder_data(config, ROOT)})
        self.run_dir = run_dir
        self.device = pick_device(config.runtime.device)
        self.diffusion = Diffusion(config.diffusion)
        self.extractor = self._make_extractor()

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
        settings = self.config.evaluation
        images = draw(
            unet,
            self.diffusion,
            self.images,
            seed=self.config.seed,
            batch_size=settings.batch_size,
            device=self.device,
            autoencoder=autoencoder_of(self.config.model, self.device),
        )
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
        if self.extractor is None:
            return {}
        measured = images[: self.config.evaluation.images]
        distance = frechet_distance(
            self._real(self.extractor, "train"), fit_gaussian(self.extractor.features(measured))
        )
        return {self.extractor.metric: distance} | self.extractor.scores(measured)

    def references(self) -> dict[str, float]:
        """Give ``<metric>_reference``: the distance between real training and real held-out images.

        A perfect model would come about as near with as many images. Empty without an extractor or
        without held-out images.

        Returns
        -------
        dict[str, float]
            One number, computed at the first call.
        """
        return {} if self.extractor is None else self._references

    @cached_property
    def _references(self) -> dict[str, float]:
        assert self.extractor is not None
        try:
            held_out = len(load(self.config.data, "holdout", self.config.seed))
        except SettingError as error:
            if error.key != "data.holdout":
                raise
            return {}  # the user's choice: every image is trained on
        if held_out < 2:
            return {}
        distance = frechet_distance(self._real(self.extractor, "train"), self._real(self.extractor, "holdout"))
        return {f"{self.extractor.metric}_reference": distance}

    def _real(self, extractor: Extractor, split: Split) -> Gaussian:
        images = load(self.config.data, split, self.config.seed)
        kept = self._kept(f"{extractor.metric}_{split}.npz")
        return real_gaussian(images, extractor, kept, self.config.seed, self.config.evaluation.real_images)

    def _make_extractor(self) -> Extractor | None:
        settings = self.config.evaluation
        match settings.extractor:
            case None:
                return None
            case "fd_classifier":
                return ClassifierFeatures(self.config, self._kept("classifier.safetensors"))
            case "inception":
                assert settings.inception_weights is not None  # the schema's check
                return InceptionFeatures(settings.inception_weights, settings.batch_size, self.device)
            case path:
                return ImportedFeatures(path, settings.batch_size, self.device)

    def _kept(self, name: str) -> Path:
        """Give the place of a file that later evaluations use, apart for each choice that it depends on."""
        settings = self.config.evaluation
        choices = [
            self.config.seed,
            self.config.data.model_dump(mode="json"),
            settings.extractor,
            str(settings.inception_weights),
            settings.classifier_epochs,
            settings.real_images,
        ]
        tag = hashlib.sha256(json.dumps(choices).encode()).hexdigest()[:8]
        return self.run_dir / "evaluation" / tag / name

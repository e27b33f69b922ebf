"""Evaluating a global model: it draws images, which are shown and measured."""

import hashlib
import json
import time
from functools import cached_property
from math import ceil
from pathlib import Path

import numpy as np

from fedphd.common.config import Config
from fedphd.common.data import load
from fedphd.common.data.holders import ROOT, holder_data
from fedphd.common.data.images import Indices, Pixels, Split
from fedphd.common.data.proportion import in_proportion
from fedphd.common.errors import SettingError
from fedphd.common.network import UNet
from fedphd.common.training.compute import pick_device
from fedphd.common.training.sampling import Sampler, all_alike
from fedphd.server.evaluation.extractors import read_extractor
from fedphd.server.evaluation.grid import rows_by_class, save_grid
from fedphd.server.evaluation.measuring import Measuring
from fedphd.server.evaluation.real import Kept
from fedphd.server.evaluation.workbench import Workbench


class Evaluator:
    """Draws sample grids and measures generated images against real ones, of the split `evaluation.reference`.

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
        If the extractor or a measure cannot be imported or used, or there is no such device.
    """

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.config = config.model_copy(update={"data": holder_data(config, ROOT)})
        self.run_dir = run_dir
        self.device = pick_device(config)
        self.extractor = read_extractor(config.evaluation)
        self.measuring = self._make_measuring()

    def evaluate(self, round: int, unet: UNet) -> dict[str, float]:
        """Draw ``samples/round_0012.png`` and measure.

        Parameters
        ----------
        round : int
            Names the picture; in the last one `evaluation.final_images` are measured.
        unet : UNet
            Moved to the evaluation's device.

        Returns
        -------
        dict[str, float]
            By `evaluation.extractor`: ``fd_classifier`` and ``class_share/<class>``, and of a model that is told
            classes ``class_accuracy`` and ``class_accuracy/<class>``; ``fid``, ``is_mean`` and ``is_std``;
            ``fd_<name>``; or nothing. Then those of `evaluation.measures`. And ``evaluation_seconds``, which in a
            run's first evaluation hold the work on the real images too.
        """
        started = time.perf_counter()
        rows = self._rows()
        if rows is None:
            images = self.draw(unet, self.images(round))
            self.show(round, images, None)
        else:
            self.show(round, Sampler.of(self.config, self.device).draw(unet, len(rows), labels=rows), rows)
            images = self.draw(unet, 0 if self.measuring is None else self._measured(round))
        return self.measure(round, images) | {"evaluation_seconds": time.perf_counter() - started}

    def draw(self, unet: UNet, images: int) -> Pixels:
        """Draw the first images of every evaluation, shape (n, C, H, W)."""
        return Sampler.of(self.config, self.device).draw(unet, images, labels=self.labels(images))

    def images(self, round: int) -> int:
        """Images that the evaluation after a root round draws with one model: to show them, and to measure them.

        At least one of each class: a picture of several clients' has a row for each.
        """
        measured = 0 if self.extractor is None else self._measured(round)
        return max(self.config.evaluation.grid_images, measured, self.config.model.number_of_classes or 0)

    def labels(self, images: int) -> Indices | None:
        """Say of which class each image is asked; None for a model that is told none.

        In the proportions of the reference images; without an extractor, or where clients draw with parts of their
        own, as many of each class.
        """
        if self.measuring is None or self.config.exchange.keeps_parts or self.config.model.classes is None:
            return all_alike(self.config.model, images)
        return in_proportion(self._reference_counts.tolist(), images)

    def show(self, round: int, images: Pixels, labels: Indices | None) -> None:
        """Save the first images as ``samples/round_0012.png``, with a row for each class if they were asked by class.

        Parameters
        ----------
        round : int
            Names the picture.
        images : NDArray[uint8]
            Shape (n, C, H, W).
        labels : NDArray[int64] or None
            The classes that were asked for, shape (n,).
        """
        grid, classes, columns = self.config.evaluation.grid_images, self.config.model.number_of_classes, None
        if labels is not None and classes is not None:
            columns = self._columns(classes)
            images = rows_by_class(images, labels, classes, columns)
            grid = len(images)
        save_grid(images[:grid], self.run_dir / "samples" / f"round_{round:04d}.png", columns)

    def measure(self, round: int, images: Pixels) -> dict[str, float]:
        """Measure as many of the images as the evaluation after a root round measures; nothing without an extractor."""
        if self.measuring is None:
            return {}
        measured = images[: self._measured(round)]
        return self.measuring.measure(measured, self.labels(len(measured)))

    def references(self, round: int) -> dict[str, float]:
        """Give what as many real images score, as `Measuring.references` says; nothing without an extractor."""
        return {} if self.measuring is None else self.measuring.references(self._measured(round))

    def reused(self) -> dict[Split, Kept]:
        """Give the real images' statistics that were found in `evaluation.cache` so far, by split."""
        return {} if self.measuring is None else self.measuring.real.reused

    def _rows(self) -> Indices | None:
        """Ask for a picture with as many images of each class, whatever is measured: the reference may lack some."""
        classes = self.config.model.number_of_classes
        return None if classes is None else all_alike(self.config.model, classes * self._columns(classes))

    def _columns(self, classes: int) -> int:
        return ceil(self.config.evaluation.grid_images / classes)

    @cached_property
    def _reference_counts(self) -> Indices:
        """Count the reference images of each class."""
        reference = load(self.config.data, self.config.evaluation.reference, self.config.seed)
        return np.bincount(reference.labels, minlength=len(reference.class_names))

    def _make_measuring(self) -> Measuring | None:
        if self.extractor is not None:
            return Measuring(self.extractor, Workbench(self.config, self.device, self._folder_of_choices()))
        if self.config.evaluation.measures:
            advice = "nothing is measured without an extractor; leave it empty, or choose evaluation=fd_classifier"
            raise SettingError("evaluation.measures", self.config.evaluation.measures, advice)
        return None

    def _measured(self, round: int) -> int:
        return self.config.evaluation.images_at(last=round == self.config.rounds)

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

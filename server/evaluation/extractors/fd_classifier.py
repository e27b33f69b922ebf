"""`fd_classifier`: features of a small classifier of the run's own real images; needs no download."""

from functools import cached_property

import numpy as np
from pydantic import PositiveInt
from safetensors.torch import load_file, save_file

from fedphd.common.data import load
from fedphd.common.data.images import Indices, Pixels
from fedphd.common.training.compute import threads
from fedphd.server.evaluation.classifier import Classifier, train_classifier
from fedphd.server.evaluation.extractor import EXTRACTORS, Extractor
from fedphd.server.evaluation.features import Features, in_batches
from fedphd.server.evaluation.frechet import Array
from fedphd.server.evaluation.workbench import Workbench


@EXTRACTORS.register("fd_classifier")
class ClassifierExtractor(Extractor):
    """Shows quality where no Inception weights are at hand.

    Attributes
    ----------
    classifier_epochs : int
        Passes of the classifier over the real training images.
    """

    classifier_epochs: PositiveInt = 30

    @property
    def metric(self) -> str:
        """Name of the distance."""
        return "fd_classifier"

    def build(self, bench: Workbench) -> "ClassifierFeatures":
        """Make the features; the classifier is trained at the first use."""
        return ClassifierFeatures(bench, self.classifier_epochs)


class ClassifierFeatures(Features):
    """Features of a small classifier of the run's own real images, kept in a file of the run.

    Parameters
    ----------
    bench : Workbench
        Names the data and the seed; its folder takes the classifier's weights once it is trained, in safetensors.
    epochs : int
        Passes over the training images.
    """

    def __init__(self, bench: Workbench, epochs: int) -> None:
        self.config = bench.config
        self.file = bench.folder / "classifier.safetensors"
        self.epochs = epochs

    @cached_property
    def model(self) -> Classifier:
        """The classifier, read from its file or trained now."""
        images = load(self.config.data, "train", self.config.seed)
        if self.file.exists():
            model = Classifier(images.shape, len(images.class_names)).eval().requires_grad_(False)
            model.load_state_dict(load_file(self.file))
            return model
        model = train_classifier(images, self.epochs, self.config.seed)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.file.with_suffix(".draft")
        save_file(model.state_dict(), draft)
        draft.replace(self.file)
        return model

    def features(self, images: Pixels) -> Array:
        """Map images (n, C, H, W) to penultimate activations (n, 64), on one CPU thread."""
        with threads(1):
            return in_batches(self.model.features, images, self.config.evaluation.batch_size)

    def scores(self, images: Pixels) -> dict[str, float]:
        """Give the share of the images that falls to each class, which shows classes that are lost."""
        shares = np.bincount(self._classify(images), minlength=len(self._names)) / len(images)
        return {f"class_share/{name}": float(share) for name, share in zip(self._names, shares, strict=True)}

    def recognised(self, images: Pixels, labels: Indices) -> dict[str, float]:
        """Give the share of the images that show the class that was asked for, of all and of those of each class."""
        hits = self._classify(images) == labels
        of_each = {
            f"class_accuracy/{name}": float(hits[labels == number].mean())
            for number, name in enumerate(self._names)
            if number in labels
        }
        return {"class_accuracy": float(hits.mean())} | of_each

    @property
    def _names(self) -> tuple[str, ...]:
        return load(self.config.data, "train", self.config.seed).class_names

    def _classify(self, images: Pixels) -> Indices:
        """Give the class that each image most likely shows, shape (n,)."""
        with threads(1):
            logits = in_batches(self.model, images, self.config.evaluation.batch_size)
        chosen: Indices = logits.argmax(1)
        return chosen

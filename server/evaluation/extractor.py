"""What a feature extractor is: the choice `evaluation.extractor`, with options of its own in the group `evaluation`."""

from abc import abstractmethod
from typing import ClassVar

from fedphd.common.choices import Affects, Choice, Choices
from fedphd.server.evaluation.features import Features
from fedphd.server.evaluation.workbench import Workbench


class Extractor(Choice):
    """Turns images into the features between which a Fréchet distance is measured (`conf/evaluation/`).

    Attributes
    ----------
    fewest : int
        Generated images that it needs.
    """

    affects: ClassVar[Affects] = Affects.MEASUREMENT
    fewest: ClassVar[int] = 2

    @property
    def metric(self) -> str:
        """Name of the distance over its features: ``fd_`` and the name of the class. ``fid`` is Inception's alone."""
        return f"fd_{self.kind.rpartition(':')[2].lower()}"

    @property
    def over(self) -> str:
        """What its features are called in the names of other measures, as in ``precision_classifier``."""
        return self.metric.removeprefix("fd_")

    @abstractmethod
    def build(self, bench: Workbench) -> Features:
        """Make what maps images to features.

        Raises
        ------
        SettingError
            If something that it needs is missing.
        """


EXTRACTORS = Choices("evaluation.extractor", Extractor)  # type: ignore[type-abstract]

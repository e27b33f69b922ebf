"""How much each member of a weighted average counts, before the weights are made to sum to one.

`samples` is FedAvg's weighting and right wherever members differ in size only. `homogeneity` is
FedPhD's: it also favours members whose labels are spread evenly, since their update is biased less.
"""

from abc import abstractmethod
from typing import ClassVar

from pydantic import NonNegativeFloat

from fedphd.common.averaging.homogeneity import Distribution, homogeneity
from fedphd.common.choices import Choice, Choices


class Weighting(Choice):
    """Weighs one member of an average.

    Attributes
    ----------
    latest : bool
        Whether the root counts an edge's images of the latest edge round only, instead of the whole root round's.
    """

    latest: ClassVar[bool] = False

    @abstractmethod
    def weight(self, samples: float, q: Distribution) -> float:
        """Weigh one member.

        Parameters
        ----------
        samples : float
            m: images that the member trained on.
        q : Distribution
            Shape (classes,): the member's label distribution.

        Returns
        -------
        float
            u, at least zero, not normalised.
        """


WEIGHTINGS = Choices("weighting", Weighting, lenient=True)  # type: ignore[type-abstract]


@WEIGHTINGS.register("samples")
class SamplesWeighting(Weighting):
    """u = m (FedAvg)."""

    def weight(self, samples: float, _q: Distribution) -> float:
        """Give the number of images."""
        return float(samples)


@WEIGHTINGS.register("homogeneity")
class HomogeneityWeighting(Weighting):
    """u = ReLU(m + a * SH(q) + b), as FedPhD's authors' code weighs edges at the root."""

    latest: ClassVar[bool] = True

    a: NonNegativeFloat
    b: float = 0.0

    def weight(self, samples: float, q: Distribution) -> float:
        """Add the score of the member's labels to the number of its images."""
        return max(0.0, samples + self.a * homogeneity(q) + self.b)

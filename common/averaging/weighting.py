"""How much each member of a weighted average counts, before the weights are made to sum to one.

`samples` is FedAvg's weighting and right wherever members differ in size only. `homogeneity` is
FedPhD's: it also favours members whose labels are spread evenly, since their update is biased less.
"""

from abc import abstractmethod
from typing import ClassVar

from pydantic import NonNegativeFloat

from fedphd.common.averaging.homogeneity import Distribution, Unit, homogeneity, images_in
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
    def weight(self, samples: float, q: Distribution, mean_samples: float) -> float:
        """Weigh one member.

        Parameters
        ----------
        samples : float
            m: images that the member trained on.
        q : Distribution
            Shape (classes,): the member's label distribution.
        mean_samples : float
            n_bar: mean number of images of a client, over all that registered with who averages.

        Returns
        -------
        float
            u, at least zero, not normalised.
        """


WEIGHTINGS = Choices("weighting", Weighting, lenient=True)  # type: ignore[type-abstract]


@WEIGHTINGS.register("samples")
class SamplesWeighting(Weighting):
    """u = m (FedAvg)."""

    def weight(self, samples: float, _q: Distribution, _mean_samples: float) -> float:
        """Give the number of images."""
        return float(samples)


@WEIGHTINGS.register("homogeneity")
class HomogeneityWeighting(Weighting):
    """u = ReLU(m + (a * SH(q) + b) * n_bar), as FedPhD's authors' code weighs edges at the root.

    n_bar is the mean number of images of a client, which makes a and b independent of the data set; with
    ``unit: image`` it is one, and the formula is the authors' to the letter.
    """

    latest: ClassVar[bool] = True

    a: NonNegativeFloat
    b: float = 0.0
    unit: Unit = "client"

    def weight(self, samples: float, q: Distribution, mean_samples: float) -> float:
        """Add the score of the member's labels to the number of its images."""
        images = images_in(self.unit, mean_samples)
        return max(0.0, samples + self.a * images * homogeneity(q) + self.b * images)

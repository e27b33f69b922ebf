"""How much each member of a weighted average counts, before the weights are made to sum to one.

`samples` is FedAvg's weighting and right wherever members differ in size only. `homogeneity` is
FedPhD's: it also favours members whose labels are spread evenly, since their update is biased less.
"""

from fedphd.common.averaging.homogeneity import Distribution, homogeneity
from fedphd.common.config import WeightingConfig


def member_weight(config: WeightingConfig, samples: float, q: Distribution) -> float:
    """Weigh one member of an average.

    Parameters
    ----------
    config : WeightingConfig
        ``samples``: u = m. ``homogeneity``: u = ReLU(m + a * SH(q) + b), as FedPhD's authors' code
        weighs edges at the root.
    samples : float
        m: images that the member trained on.
    q : Distribution
        Shape (classes,): the member's label distribution.

    Returns
    -------
    float
        u, at least zero, not normalised.
    """
    if config.kind == "samples":
        return float(samples)
    return max(0.0, samples + config.a * homogeneity(q) + config.b)

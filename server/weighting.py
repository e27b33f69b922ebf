"""How much each edge counts at the root."""

import numpy as np

from fedphd.common.averaging.weighting import Weighting
from fedphd.common.wire.messages import EdgeUpdate


def root_weight(weighting: Weighting, update: EdgeUpdate) -> float:
    """Weigh an edge, before the weights are made to sum to one.

    ``homogeneity``: u_e = ReLU(m_e + a * SH(q_e) + b) with m_e the images trained on in the latest
    edge round and q_e accumulated over the root round, as FedPhD's authors' code. ``samples``: all
    images trained on in the root round.

    An edge at which nobody trained in the whole root round weighs nothing. In the authors' code it
    would keep a * SH(q_e) + b, and so pull the average back to the old model; that choice is ours.
    """
    if update.samples == 0:
        return 0.0
    return weighting.weight(update.latest_samples if weighting.latest else update.samples, np.asarray(update.q))

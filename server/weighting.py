"""How much each edge counts at the root."""

import numpy as np

from fedphd.common.averaging.weighting import Weighting
from fedphd.common.wire.messages import EdgeUpdate


def root_weight(weighting: Weighting, update: EdgeUpdate, mean_samples: float) -> float:
    """Weigh an edge, before the weights are made to sum to one.

    ``homogeneity``: u_e = ReLU(m_e + (a * SH(q_e) + b) * n_bar) with m_e the images trained on in the
    latest edge round in which the edge had clients, and q_e accumulated over the root round, as FedPhD's
    authors' code. ``samples``: all images trained on in the root round.

    An edge at which nobody trained in the whole root round weighs nothing. In the authors' code it
    would keep its last m_e + a * SH(q_e) + b, and so pull the average back to the old model; that choice
    is ours.

    Parameters
    ----------
    weighting : Weighting
        The root's.
    update : EdgeUpdate
        What the edge reports.
    mean_samples : float
        n_bar: mean number of images of a client, over all clients.
    """
    if update.samples == 0:
        return 0.0
    samples = update.latest_samples if weighting.latest else update.samples
    return weighting.weight(samples, np.asarray(update.q), mean_samples)

"""What the root keeps from round to round."""

from dataclasses import dataclass, field

import numpy as np

from fedphd.common.network.lineage import NO_PRUNING, Lineage
from fedphd.common.network.packing import PackedModel
from fedphd.common.wire.links import Reference
from fedphd.common.wire.traffic import LANES, NO_TRAFFIC, Traffic


@dataclass(frozen=True)
class RoundSummary:
    """A committed round; its fields are those of a line of metrics (common/run/metrics.py).

    Attributes
    ----------
    loss : float or None
        Mean loss of the clients.
    clients : int
        Clients that trained in it.
    samples : int
        Images that they trained on, once for each edge round.
    client_epochs, image_passes : int
        Passes of clients over all their own images, and images that went through, once for each pass.
    """

    loss: float | None = None
    clients: int = 0
    samples: int = 0
    client_epochs: int = 0
    image_passes: int = 0


@dataclass
class GlobalState:
    """The global model and how it came about; all of it is in every checkpoint.

    Attributes
    ----------
    round : int
        Committed root rounds.
    model : PackedModel
        w: the latest aggregate.
    ema : PackedModel or None
        Exponential moving average of w over root rounds; None if it is off, or no round is over since the start or the
        pruning.
    traffic : dict[str, Traffic]
        What crossed each hop in each direction so far: "access_up" and so on; access is clients to edges, backbone
        edges to root.
    elapsed : float
        Wall seconds so far, over all starts of the run.
    reference : Reference or None
        What the edges were sent last, where changes count from it.
    control : PackedModel or None
        SCAFFOLD's c, of the parts that travel; None while it is zero.
    counted : dict[str, int]
        For each client of which a change of c_k is in c, the number of edge rounds up to the last such one.
    lineage : Lineage
        What was pruned during the run.
    losses : list[float or None]
        Mean client loss of each committed round.
    corrected_at : int or None
        The round of the latest correction.
    latest : RoundSummary
        The round that was committed last.
    """

    round: int
    model: PackedModel
    ema: PackedModel | None = None
    traffic: dict[str, Traffic] = field(default_factory=lambda: dict.fromkeys(LANES, NO_TRAFFIC))
    elapsed: float = 0.0
    reference: Reference | None = None
    control: PackedModel | None = None
    counted: dict[str, int] = field(default_factory=dict)
    lineage: Lineage = NO_PRUNING
    losses: list[float | None] = field(default_factory=list)
    corrected_at: int | None = None
    latest: RoundSummary = RoundSummary()

    def count(self, lane: str, traffic: Traffic) -> None:
        """Add to what crossed a hop in one direction."""
        self.traffic[lane] += traffic

    @property
    def best(self) -> PackedModel:
        """The model to draw from: the average if there is one."""
        return self.ema or self.model

    def advance(self, model: PackedModel, decay: float | None) -> None:
        """Commit a round: take the new model, and mix it into the average, which starts with the first one.

        Parameters
        ----------
        model : PackedModel
            The new model.
        decay : float or None
            Weight of the average so far; None: there is no average.
        """
        self.round += 1
        self.model = model
        if decay is None:
            return
        if self.ema is None:
            self.ema = model
            return
        mixed = np.float32(decay) * self.ema.vector + np.float32(1 - decay) * model.vector
        self.ema = PackedModel(model.structure, mixed)


def warmed_up(decay: float, averaged: int) -> float:
    """Give the decay of a young average: min(decay, (1 + r) / (10 + r)).

    This is the warm-up of TensorFlow's `ExponentialMovingAverage` (its ``num_updates``). Without it the first model,
    which has hardly been trained, keeps a weight of decay ** r.

    Parameters
    ----------
    decay : float
        The decay of an old average.
    averaged : int
        r: models that are in the average so far.
    """
    return min(decay, (1 + averaged) / (10 + averaged))

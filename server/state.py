"""What the root keeps from round to round."""

from dataclasses import dataclass, field

import numpy as np

from common.packing import PackedModel


@dataclass
class Traffic:
    """Bytes of model payload so far, by hop and direction: access is clients to edges, backbone edges to root."""

    access_down: int = 0
    access_up: int = 0
    backbone_down: int = 0
    backbone_up: int = 0


@dataclass(frozen=True)
class RoundSummary:
    """A committed round: mean client loss, clients that trained in it, images they trained on."""

    loss: float | None = None
    clients: int = 0
    samples: int = 0


@dataclass
class GlobalState:
    """The global model and how it came about; all of it but `latest` is in every checkpoint.

    Attributes
    ----------
    round : int
        Committed root rounds.
    model : PackedModel
        w: the latest aggregate.
    ema : PackedModel or None
        Exponential moving average of w over root rounds; None if it is off or no round is over.
    traffic : Traffic
        Bytes so far.
    elapsed : float
        Wall seconds so far, over all starts of the run.
    latest : RoundSummary
        The round that was committed last.
    """

    round: int
    model: PackedModel
    ema: PackedModel | None = None
    traffic: Traffic = field(default_factory=Traffic)
    elapsed: float = 0.0
    latest: RoundSummary = RoundSummary()

    @property
    def best(self) -> PackedModel:
        """The model to draw from: the average if there is one."""
        return self.ema or self.model

    def advance(self, model: PackedModel, ema_decay: float | None) -> None:
        """Commit a round: take the new model, and mix it into the average, which starts with the first one."""
        self.round += 1
        self.model = model
        if ema_decay is None:
            return
        if self.ema is None:
            self.ema = model
            return
        mixed = np.float32(ema_decay) * self.ema.vector + np.float32(1 - ema_decay) * model.vector
        self.ema = PackedModel(model.structure, mixed)

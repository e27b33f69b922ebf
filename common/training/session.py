"""The situation of one training of a network, a client's or the root's."""

from dataclasses import dataclass

import torch

from fedphd.common.config import TrainingConfig


@dataclass(frozen=True)
class Session:
    """How, where and at which point of the run a network is trained.

    Attributes
    ----------
    config : TrainingConfig
        Epochs, batch size, learning rate, clipping, precision, whether to compile, and the like.
    device : torch.device
        Where to train.
    seed : int
        Order of images, timesteps, noise and dropout follow from it.
    edge_round : int
        From 0 over the whole run; places the training in the learning rate's schedule.
    edge_rounds : int
        Edge rounds in the whole run.
    warmup_start : int
        The edge round in which the learning rate's warm-up began: the first, or that after a pruning.
    """

    config: TrainingConfig
    device: torch.device
    seed: int
    edge_round: int = 0
    edge_rounds: int = 1
    warmup_start: int = 0

"""A client's training in one edge round."""

from collections.abc import Iterator
from math import ceil

import torch
from torch import nn

from fedphd.client.control_variates import ControlVariates
from fedphd.client.objective import Objective
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.common.config import TrainingConfig
from fedphd.common.data.training_set import Batch, TrainingSet
from fedphd.common.training.compute import to_device
from fedphd.common.training.fit import Descent, TrainingResult, fit
from fedphd.common.training.session import Session

OPTIMIZERS: dict[str, type[torch.optim.Adam | torch.optim.SGD]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def train(
    unet: nn.Module,
    images: TrainingSet,
    objective: Objective,
    session: Session,
    *,
    store: OptimizerStore | None = None,
    control: ControlVariates | None = None,
) -> TrainingResult:
    """Train the U-Net in place for E epochs over the client's images.

    Parameters
    ----------
    unet : nn.Module
        The edge's model; trained in place.
    images : TrainingSet
        The client's images.
    objective : Objective
        What to minimise.
    session : Session
        How, where and in which edge round.
    store : OptimizerStore, optional
        Where the optimizer's state is kept between edge rounds; without, it starts anew each time.
    control : ControlVariates, optional
        Of this U-Net; they correct its gradients (SCAFFOLD).

    Raises
    ------
    FloatingPointError
        If the objective or a weight stops being finite: such a model must not be sent.
    """
    config = session.config
    unet = to_device(unet, session.device)
    objective.to(session.device)
    descent = _descent(unet, len(images), session, store, control)
    try:
        result = fit(unet, _batches(images.to(session.device), config), objective.of_batch, descent, session)
    except FloatingPointError as error:
        advice = f"lower training.lr={config.lr}"
        raise FloatingPointError(f"{error} after edge round {session.edge_round}; {advice}") from error
    if store is not None:
        store.save(descent.optimizer, session.edge_round)
    return result


def _descent(
    unet: nn.Module, images: int, session: Session, store: OptimizerStore | None, control: ControlVariates | None
) -> Descent:
    """Make the optimizer, go on with its kept state, and place this edge round in the run's schedule."""
    config = session.config
    optimizer = OPTIMIZERS[config.optimizer](unet.parameters(), lr=config.lr, fused=True)
    if store is not None:
        store.restore(optimizer)
    if control is not None:
        control.follow(optimizer)
    steps_per_round = config.epochs * ceil(images / config.batch_size)
    first, steps = session.edge_round * steps_per_round, session.edge_rounds * steps_per_round
    warmup_start = session.warmup_start * steps_per_round
    return Descent(
        optimizer,
        lambda step: config.lr * lr_factor(config, first + step, steps, warmup_start),
        control.correct if control is not None else None,
    )


def _batches(images: TrainingSet, config: TrainingConfig) -> Iterator[Batch]:
    """Yield batches: E epochs, each in a new order, the last batch kept."""
    for _ in range(config.epochs):
        for indices in torch.randperm(len(images), device=images.images.device).split(config.batch_size):
            yield images.labelled(indices, config.flip, config.label_dropout)


def lr_factor(config: TrainingConfig, step: int, steps: int, warmup_start: int = 0) -> float:
    """Share of the learning rate at a step: a linear warm-up, then constant or falling linearly to zero.

    Steps count over the whole run, as if the client had trained in every edge round so far (our
    choice): a client cannot know how many steps the others made.

    Parameters
    ----------
    config : TrainingConfig
        `warmup_steps` and `schedule`.
    step, steps : int
        The step, from 0, and the number of steps in the whole run.
    warmup_start : int
        The step, from 0, with which the warm-up begins. The fall of the schedule does not begin anew.
    """
    warmup = min(1.0, (step - warmup_start + 1) / max(config.warmup_steps, 1))
    return warmup if config.schedule == "constant" else warmup * (1 - step / steps)

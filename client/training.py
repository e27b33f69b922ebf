"""A client's training in one edge round."""

from collections.abc import Iterator
from math import ceil

import torch
from torch import Tensor, nn

from fedphd.client.control_variates import ControlVariates
from fedphd.client.objective import Objective
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.common.config import TrainingConfig
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.training.compute import to_device
from fedphd.common.training.fit import TrainingResult, fit, seeded

OPTIMIZERS: dict[str, type[torch.optim.Adam | torch.optim.SGD]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def train(
    unet: nn.Module,
    images: TrainingSet,
    objective: Objective,
    config: TrainingConfig,
    *,
    store: OptimizerStore | None,
    edge_round: int,
    edge_rounds: int,
    seed: int,
    device: torch.device,
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
    config : TrainingConfig
        Epochs, batch size, optimizer, learning rate and the like.
    store : OptimizerStore or None
        Where the optimizer's state is kept between edge rounds; None: it starts anew each time.
    edge_round : int
        From 0 over the whole run; places this round in the learning rate's schedule.
    edge_rounds : int
        Edge rounds in the whole run.
    seed : int
        Of this client and edge round: order of images, timesteps, noise and dropout follow from it.
    device : torch.device
        Where to train.
    control : ControlVariates, optional
        Of this U-Net; they correct its gradients (SCAFFOLD).

    Raises
    ------
    FloatingPointError
        If the objective or a weight stops being finite: such a model must not be sent.
    """
    unet = to_device(unet, device)
    objective.to(device)
    optimizer = OPTIMIZERS[config.optimizer](unet.parameters(), lr=config.lr, fused=True)
    if store is not None:
        store.restore(optimizer)
    if control is not None:
        control.follow(optimizer)
    steps_per_round = config.epochs * ceil(len(images) / config.batch_size)
    first, steps = edge_round * steps_per_round, edge_rounds * steps_per_round
    try:
        with seeded(seed, device):
            result = fit(
                unet,
                _batches(images.to(device), config),
                objective,
                optimizer,
                lambda step: config.lr * lr_factor(config, first + step, steps),
                clip_norm=config.clip_norm,
                precision=config.precision,
                device=device,
                compile=config.compile,
                correct=control.correct if control is not None else None,
            )
    except FloatingPointError as error:
        advice = f"lower training.lr={config.lr}"
        raise FloatingPointError(f"{error} after edge round {edge_round}; {advice}") from error
    if store is not None:
        store.save(optimizer, edge_round)
    return result


def _batches(images: TrainingSet, config: TrainingConfig) -> Iterator[Tensor]:
    """Yield batches x_0 (B, C, H, W): E epochs, each in a new order, the last batch kept."""
    for _ in range(config.epochs):
        for indices in torch.randperm(len(images), device=images.images.device).split(config.batch_size):
            yield images.batch(indices, config.flip)


def lr_factor(config: TrainingConfig, step: int, steps: int) -> float:
    """Share of the learning rate at a step: a linear warm-up, then constant or falling linearly to zero.

    Steps count over the whole run, as if the client had trained in every edge round so far (our
    choice): a client cannot know how many steps the others made.

    Parameters
    ----------
    config : TrainingConfig
        `warmup_steps` and `schedule`.
    step, steps : int
        The step, from 0, and the number of steps in the whole run.
    """
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return warmup if config.schedule == "constant" else warmup * (1 - step / steps)

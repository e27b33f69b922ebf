"""A client's training in one edge round."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, isfinite

import torch
from diffusers import UNet2DModel
from torch import Tensor

from client.objective import Objective
from client.optimizer_store import OptimizerStore
from common.compute import autocast, to_device
from common.config import TrainingConfig


@dataclass(frozen=True)
class TrainingResult:
    """What training came to: mean objective per image, optimizer steps, wall seconds."""

    loss: float
    steps: int
    seconds: float


def train(
    unet: UNet2DModel,
    images: Tensor,
    objective: Objective,
    config: TrainingConfig,
    *,
    store: OptimizerStore | None,
    edge_round: int,
    edge_rounds: int,
    seed: int,
    device: torch.device,
) -> TrainingResult:
    """Train the U-Net in place for E epochs over the client's images, with Adam.

    Parameters
    ----------
    unet : UNet2DModel
        The edge's model; trained in place.
    images : Tensor
        Shape (N, C, H, W), uint8: the client's images.
    objective : Objective
        What to minimise.
    config : TrainingConfig
        Epochs, batch size, learning rate and the like.
    store : OptimizerStore or None
        Where Adam's moments are kept between edge rounds; None: they start anew each time.
    edge_round : int
        From 0 over the whole run; places this round in the learning rate's schedule.
    edge_rounds : int
        Edge rounds in the whole run.
    seed : int
        Of this client and edge round: order of images, timesteps, noise and dropout follow from it.
    device : torch.device
        Where to train.

    Raises
    ------
    FloatingPointError
        If the objective or a weight stops being finite: such a model must not be sent.
    """
    started = time.perf_counter()
    steps_per_round = config.epochs * ceil(len(images) / config.batch_size)
    unet = to_device(unet, device).train()
    model = torch.compile(unet) if config.compile else unet
    optimizer = torch.optim.Adam(unet.parameters(), lr=config.lr, fused=True)
    if store is not None:
        store.restore(optimizer)
    step, total, seen = edge_round * steps_per_round, 0.0, 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for x_0 in _batches(images.to(device), config):
            optimizer.param_groups[0]["lr"] = config.lr * lr_factor(config, step, edge_rounds * steps_per_round)
            with autocast(device, config.precision):
                loss = objective(model, x_0)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(unet.parameters(), config.clip_norm)
            optimizer.step()
            step, total, seen = step + 1, total + loss.item() * len(x_0), seen + len(x_0)
    if not isfinite(total) or not all(p.isfinite().all() for p in unet.parameters()):
        raise FloatingPointError(
            f"objective or weights are not finite after edge round {edge_round}; lower training.lr={config.lr}"
        )
    if store is not None:
        store.save(optimizer, edge_round)
    return TrainingResult(total / seen, steps_per_round, time.perf_counter() - started)


def _batches(images: Tensor, config: TrainingConfig) -> Iterator[Tensor]:
    """Yield batches x_0 (B, C, H, W) in [-1, 1]: E epochs, each in a new order, the last batch kept."""
    for _ in range(config.epochs):
        for indices in torch.randperm(len(images), device=images.device).split(config.batch_size):
            x_0 = images[indices].float() / 127.5 - 1
            if config.flip:
                mirrored = torch.rand(len(x_0), 1, 1, 1, device=x_0.device) < 0.5
                x_0 = torch.where(mirrored, x_0.flip(-1), x_0)
            yield x_0


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

"""The training loop, of a client and of the root."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import cast

import torch
from torch import Tensor, nn

from fedphd.common.training.compute import autocast


@dataclass(frozen=True)
class TrainingResult:
    """What training came to: mean objective per image, optimizer steps, wall seconds."""

    loss: float
    steps: int
    seconds: float


def fit(
    unet: nn.Module,
    batches: Iterable[Tensor],
    loss: Callable[[nn.Module, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    rates: Callable[[int], float],
    *,
    clip_norm: float | None,
    precision: str,
    device: torch.device,
    compile: bool = False,
    correct: Callable[[], None] | None = None,
) -> TrainingResult:
    """Train a network in place, one optimizer step for each batch.

    Parameters
    ----------
    unet : nn.Module
        On `device`; put into training mode.
    batches : Iterable[Tensor]
        At least one x_0 of shape (B, C, H, W), on `device`. Taken one by one, as they are needed.
    loss : Callable[[nn.Module, Tensor], Tensor]
        The mean objective of a batch, a scalar.
    optimizer : torch.optim.Optimizer
        Of the network's parameters.
    rates : Callable[[int], float]
        The learning rate of each step, counted from 0 in this call.
    clip_norm : float or None
        Largest norm of all gradients together; None: no clipping.
    precision : str
        "float32", "bfloat16" or "auto", as in `fedphd.common.training.compute.autocast`.
    device : torch.device
        Where to compute.
    compile : bool
        Whether to compile the network.
    correct : Callable[[], None], optional
        Changes the gradients in place, before they are clipped.

    Raises
    ------
    FloatingPointError
        If the objective or a weight stops being finite: such a network is of no use to anyone.
    """
    started = time.perf_counter()
    unet.train()
    model = cast(nn.Module, torch.compile(unet)) if compile else unet
    steps, total, seen = 0, 0.0, 0
    for x_0 in batches:
        for group in optimizer.param_groups:
            group["lr"] = rates(steps)
        with autocast(device, precision):
            objective = loss(model, x_0)
        optimizer.zero_grad(set_to_none=True)
        objective.backward()
        if correct is not None:
            correct()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(unet.parameters(), clip_norm)
        optimizer.step()
        steps, total, seen = steps + 1, total + objective.item() * len(x_0), seen + len(x_0)
    if not isfinite(total) or not all(p.isfinite().all() for p in unet.parameters()):
        raise FloatingPointError("objective or weights are not finite")
    return TrainingResult(total / seen, steps, time.perf_counter() - started)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let what torch draws on the CPU and on `device` follow from a seed, and leave its generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

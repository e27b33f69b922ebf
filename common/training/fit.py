"""The training loop, of a client and of the root."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from fedphd.common.training.compute import autocast
from fedphd.common.training.session import Session

B = TypeVar("B", bound=Sized)  # a batch, as long as it has images


@dataclass(frozen=True)
class TrainingResult:
    """What training came to: mean objective per image, optimizer steps, wall seconds."""

    loss: float
    steps: int
    seconds: float


@dataclass(frozen=True)
class Descent:
    """How a network moves.

    Attributes
    ----------
    optimizer : torch.optim.Optimizer
        Of the network's parameters.
    rate : Callable[[int], float]
        The learning rate of each step, counted from 0 in one training.
    correct : Callable[[], None], optional
        Changes the gradients in place, before they are clipped.
    """

    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    correct: Callable[[], None] | None = None

    def step(self, number: int, objective: Tensor, parameters: Iterable[Tensor], clip_norm: float | None) -> None:
        """Make step `number` down the gradient of `objective`, whose norm is at most `clip_norm`."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(number)
        self.optimizer.zero_grad(set_to_none=True)
        objective.backward()
        if self.correct is not None:
            self.correct()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        self.optimizer.step()


def fit(
    unet: nn.Module, batches: Iterable[B], loss: Callable[[nn.Module, B], Tensor], descent: Descent, session: Session
) -> TrainingResult:
    """Train a network in place, one optimizer step for each batch.

    Parameters
    ----------
    unet : nn.Module
        On the session's device; put into training mode.
    batches : Iterable[Batch]
        At least one, on that device, of whatever kind `loss` takes. Taken one by one, as they are needed; what is drawn
        to make them follows from the session's seed too.
    loss : Callable[[nn.Module, Batch], Tensor]
        The mean objective of a batch, a scalar.
    descent : Descent
        How the network moves.
    session : Session
        Device, seed, clipping, precision, and whether to compile.

    Raises
    ------
    FloatingPointError
        If the objective or a weight stops being finite: such a network is of no use to anyone.
    """
    started = time.perf_counter()
    unet.train()
    model = cast(nn.Module, torch.compile(unet)) if session.config.compile else unet
    steps, total, seen = 0, 0.0, 0
    with seeded(session.seed, session.device):
        for batch in batches:
            with autocast(session.device, session.config.precision):
                objective = loss(model, batch)
            descent.step(steps, objective, unet.parameters(), session.config.clip_norm)
            steps, total, seen = steps + 1, total + objective.item() * len(batch), seen + len(batch)
    if not isfinite(total) or not all(p.isfinite().all() for p in unet.parameters()):
        raise FloatingPointError("objective or weights are not finite")
    return TrainingResult(total / seen, steps, time.perf_counter() - started)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let what torch draws on the CPU and on `device` follow from a seed, and leave its generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

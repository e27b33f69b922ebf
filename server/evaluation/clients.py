"""Evaluating a method without a global model: each client's own is measured (FedDiffuse, ULATDEC and UDEC)."""

import logging
import time
from collections.abc import Iterable
from math import ceil

import numpy as np

from fedphd.common.data.images import Pixels
from fedphd.common.run.figures import quality
from fedphd.common.wire.messages import Drawing
from fedphd.server.evaluation.evaluator import Evaluator

log = logging.getLogger(__name__)


def evaluate_clients(evaluator: Evaluator, round: int, drawings: Iterable[Drawing]) -> dict[str, float]:
    """Draw one picture with images of every client, and measure each client's images.

    Parameters
    ----------
    evaluator : Evaluator
        Measures and shows.
    round : int
        Names the picture, and says whether it is the last.
    drawings : Iterable[Drawing]
        What the clients drew; taken one by one.

    Returns
    -------
    dict[str, float]
        What `Evaluator.evaluate` gives, as the mean over the clients; for the main measure also
        ``<measure>_std``, the standard deviation over them, and ``<measure>/<client>`` for each. Nothing but
        ``evaluation_seconds`` if no client drew.
    """
    started = time.perf_counter()
    untrained: list[str] = []
    shown: list[Pixels] = []
    measured: dict[str, dict[str, float]] = {}
    grid, classes = evaluator.config.evaluation.grid_images, evaluator.config.model.number_of_classes
    for drawing in drawings:
        measured[drawing.client] = evaluator.measure(round, drawing.images)
        untrained += [] if drawing.trained else [drawing.client]
        if len(shown) < grid:
            shown.append(drawing.images)
            few = max(ceil(grid / len(shown)), classes or 0)  # one of each class at least
            shown = [images[:few].copy() for images in shown]
    if untrained and evaluator.config.evaluation.clients == "trained":
        log.warning("drew with what they were sent, since they kept no trained model: %s", ", ".join(untrained))
    if shown:
        labels = [evaluator.labels(len(images)) for images in shown]
        asked = None if labels[0] is None else np.concatenate([one for one in labels if one is not None])
        evaluator.show(round, np.concatenate(shown), asked)
    return _summary(measured) | {"evaluation_seconds": time.perf_counter() - started}


def _summary(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    if not any(measured.values()):
        return {}
    first = next(iter(measured.values()))
    means = {key: float(np.mean([one[key] for one in measured.values()])) for key in first}
    main = quality(means)
    assert main is not None  # an extractor always has a main measure
    values = {client: one[main[0]] for client, one in measured.items()}
    spread = {f"{main[0]}_std": float(np.std(list(values.values()), ddof=1)) if len(values) > 1 else 0.0}
    return means | spread | {f"{main[0]}/{client}": value for client, value in values.items()}

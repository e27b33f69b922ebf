"""Drawing batch by batch, with a bar that says how far it is."""

import logging

import torch
from PIL.Image import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fedphd.launch.export.pipelines import Drawer
from fedphd.launch.sample.asked import Batches

log = logging.getLogger(__name__)


def draw(drawer: Drawer, batches: Batches, console: Console) -> list[Image]:
    """Draw images; batches that do not fit into a GPU's memory are halved.

    Parameters
    ----------
    drawer : Drawer
        The pipeline.
    batches : Batches
        Which images, and how many at once.
    console : Console
        Takes the bar, if it is a terminal.
    """
    images: list[Image] = []
    columns = (TextColumn("drawing"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        steps = _steps(drawer)
        task = bars.add_task("drawing", total=batches.count * steps)

        def advance(_module: object, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
            bars.update(task, advance=min(len(inputs[0]), batches.size))

        hook = drawer.pipeline.unet.register_forward_hook(advance)
        try:
            for places in batches:
                images += _fitting(drawer, batches, places)
                bars.update(task, completed=len(images) * steps)
        finally:
            hook.remove()
    return images


def _fitting(drawer: Drawer, batches: Batches, places: range) -> list[Image]:
    """Draw the images at some places, in halves where all are too many at once."""
    labels = None if batches.labels is None else batches.labels[places.start : places.stop]
    try:
        return drawer.draw(range(batches.seed + places.start, batches.seed + places.stop), labels)
    except torch.OutOfMemoryError:
        if len(places) == 1:
            raise
        torch.cuda.empty_cache()
    middle = places.start + len(places) // 2
    halves = range(places.start, middle), range(middle, places.stop)
    return [image for half in halves for image in _fitting(drawer, batches, half)]


def _steps(drawer: Drawer) -> int:
    return int(drawer.options["num_inference_steps"])

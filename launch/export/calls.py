"""The code that draws with an export, for its card."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from fedphd.launch.export.drawable import Drawable
from fedphd.launch.export.pipelines import Drawer
from fedphd.launch.sample.grid import enlarged_side, side_of

SHOWN = 16  # images that the code draws


@dataclass(frozen=True)
class Call:
    """How an export is loaded and called.

    Attributes
    ----------
    code : str
        Python that needs torch and diffusers alone, and saves a grid.
    command : str
        Saves the same grid.
    """

    code: str
    command: str


def call_of(drawable: Drawable, drawer: Drawer, place: str, *, whole: bool) -> Call:
    """Write the code.

    Parameters
    ----------
    drawable, drawer : Drawable, Drawer
        The model and its pipeline.
    place : str
        The export's folder, or its name on the hub.
    whole : bool
        Whether it holds its autoencoder, if it needs one.
    """
    pipeline = type(drawer.pipeline).__name__ if drawable.plainly_drawn else "DiffusionPipeline"
    outside = None if whole else drawable.autoencoder
    names = {pipeline} if outside is None else {pipeline, type(outside.network).__name__}
    trust = [] if drawable.plainly_drawn else ["trust_remote_code=True"]
    loaded = [repr(place), *trust, *([] if outside is None else ["vae=vae"])]
    enlarged = list(_enlarged(drawable))
    lines = [
        "import torch",
        f"from diffusers import {', '.join(sorted(names))}",
        "from diffusers.utils import make_image_grid",
        *(["from PIL import Image"] if enlarged else []),
        "",
        *_autoencoder(drawable, whole=whole),
        f"pipeline = {pipeline}.from_pretrained({', '.join(loaded)})",
        f"generators = [torch.Generator().manual_seed(seed) for seed in range({SHOWN})]",
        "images = pipeline(",
        *(f"    {argument}," for argument in _arguments(drawable, drawer)),
        ").images",
        *enlarged,
        f'make_image_grid(images, rows={side_of(SHOWN)}, cols={side_of(SHOWN)}).save("grid.png")',
    ]
    asked = " --class all" if drawable.classes else ""
    return Call("\n".join(lines), f"fedphd sample {shlex.quote(place)} --n {SHOWN}{asked} --out grid.png")


def _arguments(drawable: Drawable, drawer: Drawer) -> Iterator[str]:
    yield f"batch_size={SHOWN}"
    yield "generator=generators"
    for name, value in drawer.options.items():
        yield f"{name}={value!r}"
    if drawable.classes:
        yield f"class_labels=[place % {len(drawable.classes)} for place in range({SHOWN})]"


def _autoencoder(drawable: Drawable, *, whole: bool) -> Iterator[str]:
    """Load the autoencoder that the export does not hold."""
    if drawable.autoencoder is None or whole:
        return
    source = drawable.autoencoder.config
    subfolder = f", subfolder={source.subfolder!r}" if source.subfolder else ""
    yield f"vae = {type(drawable.autoencoder.network).__name__}.from_pretrained({source.path!r}{subfolder})"


def _enlarged(drawable: Drawable) -> Iterator[str]:
    side = drawable.pixel_shape[-1]
    if enlarged_side(side) != side:
        larger = enlarged_side(side)
        yield f"images = [image.resize(({larger}, {larger}), Image.Resampling.NEAREST) for image in images]"

"""The files of an export: a pipeline's folder of diffusers."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import diffusers
from safetensors.torch import save_file

from fedphd.common.errors import SettingError
from fedphd.common.network.exported import FACTS, REST, SCHEDULER, UNET, VAE
from fedphd.launch.export.bundle import NETWORKS, PIPELINE, bundle
from fedphd.launch.export.drawable import Drawable
from fedphd.launch.export.pipelines import Drawer, settings_of

INDEX = "model_index.json"
STRANGE = ("NarrowUNet2DModel", "ConvNextUNet", "NarrowConvNextUNet")  # that diffusers does not have


def check_free(out: Path) -> None:
    """Check that a folder can be written: nothing is there, or an empty folder.

    Raises
    ------
    SettingError
        If something is there.
    """
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise SettingError("OUT", out, "is there already and not an empty folder; give a new one")


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Lend a folder beside `out` that becomes `out` when all is in it; on an error nothing is left."""
    draft = out.parent / f".{out.name}.{uuid4().hex[:8]}"
    draft.mkdir(parents=True)
    try:
        yield draft
        if out.is_dir():
            out.rmdir()  # empty, as was checked
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_pipeline(folder: Path, drawable: Drawable, drawer: Drawer, facts: dict[str, Any], *, whole: bool) -> None:
    """Write a pipeline and the facts of its model.

    Parameters
    ----------
    folder : Path
        An empty one.
    drawable, drawer : Drawable, Drawer
        The model and its pipeline.
    facts : dict[str, object]
        Of the run, beside the model's own.
    whole : bool
        Whether the autoencoder is written too.
    """
    drawable.unet.save_pretrained(folder / UNET, safe_serialization=True)  # type: ignore[operator]
    drawer.pipeline.scheduler.save_pretrained(folder / SCHEDULER)
    if whole and drawable.autoencoder is not None:
        drawable.autoencoder.network.save_pretrained(folder / VAE, safe_serialization=True)
        _forget_source(folder / VAE / "config.json")
    if drawable.rest is not None:
        save_file({name: tensor.contiguous() for name, tensor in drawable.rest.items()}, folder / REST)
    _write_json(folder / INDEX, _index(drawable, drawer, whole=whole))
    _write_json(folder / FACTS, _facts(drawable) | facts)
    for weights in folder.rglob("*.safetensors"):  # which safetensors lets nobody else read
        weights.chmod((folder / INDEX).stat().st_mode)
    if not drawable.plainly_drawn:
        (folder / f"{PIPELINE}.py").write_text(bundle(PIPELINE), encoding="utf-8")
    if type(drawable.unet).__name__ in STRANGE:
        (folder / UNET / f"{NETWORKS}.py").write_text(bundle(NETWORKS), encoding="utf-8")


def _index(drawable: Drawable, drawer: Drawer, *, whole: bool) -> dict[str, Any]:
    """Say, as diffusers reads it, which class each part of the pipeline is of."""
    network, scheduler = type(drawable.unet).__name__, type(drawer.pipeline.scheduler).__name__
    pipeline = type(drawer.pipeline).__name__
    index: dict[str, Any] = {
        "_class_name": pipeline if drawable.plainly_drawn else [PIPELINE, pipeline],
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", scheduler],
        "unet": [NETWORKS if network in STRANGE else "diffusers", network],
    }
    if drawable.plainly_drawn:
        return index
    included = whole and drawable.autoencoder is not None
    vae = (
        ["diffusers", type(drawable.autoencoder.network).__name__] if included and drawable.autoencoder else [None] * 2
    )
    return index | {"vae": vae} | settings_of(drawable)


def _facts(drawable: Drawable) -> dict[str, Any]:
    """Give what this project reads of an export."""
    return {
        "model": drawable.model,
        "diffusion": drawable.diffusion.model_dump(mode="json", by_alias=True),
        "sampler": drawable.sampler.model_dump(mode="json", by_alias=True),
        "classes": list(drawable.classes) or None,
        "version": version("fedphd"),
    }


def _forget_source(file: Path) -> None:
    """Leave out of a network's options where on this machine it was read from."""
    options = json.loads(file.read_text(encoding="utf-8"))
    options.pop("_name_or_path", None)
    _write_json(file, options)


def _write_json(file: Path, tree: object) -> None:
    file.write_text(json.dumps(tree, indent=2, default=list) + "\n", encoding="utf-8")

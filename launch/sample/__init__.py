"""``fedphd sample``: images from a run's model or an export's, as a grid or one by one."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from huggingface_hub import snapshot_download
from rich.console import Console

from fedphd.common.errors import SettingError
from fedphd.common.network.hub import first_line, is_mistyped
from fedphd.common.run.run_folder import RunFolder
from fedphd.launch.export.drawable import Drawable, of_export, of_run
from fedphd.launch.export.pipelines import drawer_of
from fedphd.launch.sample.asked import Batches, device_of, labels_of, sampler_of
from fedphd.launch.sample.drawing import draw
from fedphd.launch.sample.outlet import Outlet


def print_sample(given: Namespace) -> None:
    """Draw as the command's arguments say, show how far it is, and print where the images are.

    Raises
    ------
    SettingError
        If an argument cannot work, or the model cannot be read.
    """
    outlet = Outlet.of(given.out)
    drawable = _drawable(given)
    drawable = replace(drawable, sampler=sampler_of(drawable, given))
    labels = labels_of(drawable, given)
    device = device_of(given.device)
    drawer = drawer_of(drawable, device)
    images = draw(drawer, Batches(given.n, given.seed, given.batch, labels), Console(stderr=True))
    named = [] if labels is None else [drawable.classes[label] for label in labels]
    print(outlet.save(images, named))


def _drawable(given: Namespace) -> Drawable:
    """Read the model of a run, or of an export."""
    folder: Path = given.model
    if not RunFolder(folder).begun:
        if not folder.is_dir():
            folder = _fetched(folder)
        if given.raw or given.round is not None:
            what = "--raw" if given.raw else "--round"
            raise SettingError(what, given.raw or given.round, "is for a run's folder; an export holds one model")
        return of_export(folder)
    drawable, _, _ = of_run(folder, ema=not given.raw, round=given.round)
    return drawable


def _fetched(name: Path) -> Path:
    """Fetch an export from the Hugging Face hub, without its Python files; what is there already is taken."""
    if len(name.parts) != 2 or name.is_absolute() or is_mistyped(name):
        raise SettingError("model", name, "there is no such folder; give that of a run or of an export")
    try:
        return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # of the hub, of its client, or of the network
        advice = f"is no folder, and cannot be fetched from the Hugging Face hub ({first_line(error)})"
        raise SettingError("model", name, advice) from error


__all__ = ["print_sample"]

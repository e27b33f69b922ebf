"""``fedphd export``: a run's model as a folder that diffusers loads, with a card that says what it is."""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fedphd.common.config import Config
from fedphd.common.errors import SettingError
from fedphd.launch.export.calls import Call, call_of
from fedphd.launch.export.card import Carded, model_card
from fedphd.launch.export.drawable import Drawable, of_run
from fedphd.launch.export.folder import appearing, check_free, write_pipeline
from fedphd.launch.export.hub import OPTION, check_name, push
from fedphd.launch.export.onnx import check_onnx, write_onnx
from fedphd.launch.export.pipelines import Drawer, drawer_of

CARD = "README.md"


@dataclass(frozen=True)
class Asked:
    """What a user asks for.

    Attributes
    ----------
    run, out : Path
        The run's folder, and the export's, which is made.
    raw : bool
        Take the latest aggregate, not the moving average.
    round : int or None
        The root round; None: the newest.
    license : str or None
        The licence that the card states.
    hub : str or None
        The repository to bring it to, OWNER/NAME.
    onnx : bool
        Write the U-Net's step as ONNX too.
    whole : bool
        Write the autoencoder too, if there is one.
    """

    run: Path
    out: Path
    raw: bool = False
    round: int | None = None
    license: str | None = None
    hub: str | None = None
    onnx: bool = False
    whole: bool = False

    @classmethod
    def of(cls, given: Namespace) -> "Asked":
        """Take the arguments of the command."""
        more = {
            "license": given.license,
            "hub": given.push_to_hub,
            "onnx": given.onnx,
            "whole": given.include_autoencoder,
        }
        return cls(given.run, given.out, given.raw, given.round, **more)


def export(asked: Asked) -> Call:
    """Write a run's model; nothing is trained, and nothing that is there changes.

    Returns
    -------
    Call
        How it is drawn with.

    Raises
    ------
    SettingError
        If the run cannot be read, its network cannot be carried, or the folder is not free.
    FedPhDError
        If the ONNX model predicts something else, or the hub does not take it.
    """
    _check(asked)
    drawable, config, state = of_run(asked.run, ema=not asked.raw, round=asked.round)
    _check_portable(asked, drawable, config)
    drawer = drawer_of(drawable, torch.device("cpu"))
    _check_scheduler(asked, drawer)
    averaged = state.ema is not None and not asked.raw
    call = call_of(drawable, drawer, asked.hub or str(asked.out), whole=asked.whole)
    facts = {"method": config.method, "round": state.round, "averaged": averaged}
    with appearing(asked.out.absolute()) as folder:
        write_pipeline(folder, drawable, drawer, facts, whole=asked.whole)
        card = model_card(Carded(asked.run, config, state, drawable, averaged, call, asked.license))
        (folder / CARD).write_text(card, encoding="utf-8")
        if asked.onnx:
            write_onnx(drawable.unet, config.diffusion.timesteps, folder / "onnx" / "unet.onnx")
    return call


def print_export(given: Namespace) -> None:
    """Export as the command's arguments say, and print where to, and how to draw with it."""
    asked = Asked.of(given)
    call = export(asked)
    print(f"{asked.out}: the model, and how to draw with it in {CARD}; or: {call.command}")
    if asked.hub is not None:
        print(push(asked.out, asked.hub))


def _check(asked: Asked) -> None:
    """Find out early what cannot work."""
    check_free(asked.out)
    if asked.hub is not None:
        check_name(asked.hub)
    if asked.onnx:
        check_onnx()


def _check_portable(asked: Asked, drawable: Drawable, config: Config) -> None:
    if not drawable.is_portable:
        advice = f"its network is your own ({config.model.network}), which diffusers cannot load without your module"
        raise SettingError("RUN", asked.run, f"{advice}; fedphd sample draws with it, fedphd.load_model gives it")
    if asked.whole and drawable.autoencoder is None:
        raise SettingError(
            "--include-autoencoder", True, "this model draws pixels and has no autoencoder; leave it out"
        )
    source: Any = None if drawable.autoencoder is None or asked.whole else drawable.autoencoder.config.path
    if asked.hub is not None and source is not None and Path(source).expanduser().exists():
        advice = f"the model's autoencoder is in a folder of this machine, {source}; add --include-autoencoder"
        raise SettingError(OPTION, asked.hub, advice)


def _check_scheduler(asked: Asked, drawer: Drawer) -> None:
    kind = type(drawer.pipeline.scheduler)
    if not kind.__module__.startswith("diffusers."):
        advice = f"its sampler has a scheduler of your own ({kind.__module__}.{kind.__qualname__})"
        raise SettingError("RUN", asked.run, f"{advice}, which diffusers cannot load; fedphd sample draws with it")


__all__ = ["Asked", "Call", "export", "print_export"]

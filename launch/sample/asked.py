"""What is asked of `fedphd sample`, made sense of: which sampler, which classes, which device."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import cycle, islice
from typing import Any

import torch
import yaml

from fedphd import conf
from fedphd.common.errors import SettingError
from fedphd.common.training.samplers import SAMPLERS, SamplerConfig, Spaced
from fedphd.launch.export.drawable import Drawable

ALL = "all"
OFFERED = ("ddim", "ddpm", "dpm_solver")  # by --sampler; the others need options of their own


@dataclass(frozen=True)
class Batches:
    """Which images are drawn, and how many together.

    Attributes
    ----------
    count : int
        Images in all.
    seed : int
        That of the first; each other has the next number.
    size : int
        Images that are drawn at once, if they fit into memory.
    labels : list[int] or None
        The class of each; None: no class.
    """

    count: int
    seed: int
    size: int
    labels: list[int] | None = None

    def __iter__(self) -> Iterator[range]:
        """Yield the places of each batch."""
        for start in range(0, self.count, self.size):
            yield range(start, min(start + self.size, self.count))


def sampler_of(drawable: Drawable, given: Namespace) -> SamplerConfig:
    """Give the sampler that is asked for: the model's own, or another, perhaps with other steps or guidance.

    Raises
    ------
    SettingError
        If it does not take so many steps or such a guidance, or guidance has nothing to guide to.
    """
    options = _options(drawable, given.sampler)
    if given.steps is not None:
        options["steps"] = given.steps
    if given.guidance is not None:
        _check_guidance(drawable, given)
        options["guidance"] = given.guidance
    try:
        sampler = SAMPLERS.read(options)
        if isinstance(sampler, Spaced):
            sampler.check_steps(drawable.diffusion.timesteps)
    except SettingError as error:
        raise SettingError(f"--{error.key.rpartition('.')[2]}", error.value, error.advice) from None
    return sampler


def labels_of(drawable: Drawable, given: Namespace) -> list[int] | None:
    """Give the class of each image: those that are asked for take turns.

    Raises
    ------
    SettingError
        If the model was not told classes, or there is no such class.
    """
    asked: str | None = given.classes
    if asked is None:
        return None
    names = drawable.classes
    if not names:
        raise SettingError(
            "--class", asked, "this model was trained without classes (model.classes=labels); leave it out"
        )
    words = [asked] if asked in names else asked.split(",")
    chosen = range(len(names)) if asked == ALL else [_number(word.strip(), names) for word in words]
    return list(islice(cycle(chosen), given.n))


def device_of(name: str) -> torch.device:
    """Choose where to draw: on a GPU where there is one, unless the CPU is asked for.

    Raises
    ------
    SettingError
        If a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise SettingError("--device", name, "this process sees no GPU; use cpu or auto")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def _options(drawable: Drawable, kind: str | None) -> dict[str, Any]:
    """Give the options of the model's own sampler, or of one that is asked for, as its file in `conf/` has them."""
    own = drawable.sampler.model_dump(mode="json", by_alias=True)
    if kind in (None, own["kind"]):
        return own
    text = files(conf).joinpath("sampler", f"{kind}.yaml").read_text(encoding="utf-8")
    return {**yaml.safe_load(text), "guidance": own["guidance"]}


def _check_guidance(drawable: Drawable, given: Namespace) -> None:
    if not drawable.classes:
        raise SettingError("--guidance", given.guidance, "this model was trained without classes; leave it out")
    if given.classes is None:
        raise SettingError("--guidance", given.guidance, "guides towards a class; say which, by --class")


def _number(word: str, names: tuple[str, ...]) -> int:
    if word in names:
        return names.index(word)
    if word.isdecimal() and int(word) < len(names):
        return int(word)
    known = ", ".join(f"{number} {name}" if str(number) != name else name for number, name in enumerate(names))
    raise SettingError("--class", word, f"there is no such class; use a number or a name of {known}, or {ALL}")

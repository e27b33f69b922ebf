"""A model that was trained before, as a folder or the Hugging Face hub has it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file
from torch import Tensor

from fedphd.common.errors import SettingError
from fedphd.common.network.exported import FACTS, REST, exported_facts, exported_weights
from fedphd.common.network.hub import OPTIONS, WEIGHTS, Source, fetch_if_there, first_line
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.structure import Shape, Structure

KEY = "model.init"
SCHEDULER = "scheduler_config.json"

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """A model that a run may start from.

    Attributes
    ----------
    path : str
        What `model.init` names.
    state : Mapping[str, Tensor]
        Its weights.
    model : Mapping or None
        The section `model` that it was trained with; None if it is not of this program.
    unet : Mapping or None
        The options of diffusers' UNet2DModel that it is; None if it is something else.
    schedule : Mapping or None
        The diffusion process that it was trained on, in the words of diffusers' schedulers; None if it is not known.
    classes : tuple[str, ...]
        Names of the classes that it was told, in the order of their numbers; empty if it was told none, or their names
        are not known.
    """

    path: str
    state: Mapping[str, Tensor]
    model: Options | None = None
    unet: Options | None = None
    schedule: Options | None = None
    classes: tuple[str, ...] = ()

    def packed(self, dense: Structure) -> PackedModel:
        """Give the weights in a network's order, in float32.

        Parameters
        ----------
        dense : Structure
            Of the dense network as it is configured. The model may be narrower.

        Raises
        ------
        SettingError
            If it has other tensors, or wider ones, or a number is not finite.
        """
        if difference := _difference(self.state, dense.shapes):
            raise self.unusable(difference)
        packed = pack({name: self.state[name] for name, _ in dense.tensors})
        for name, array in packed.arrays():
            if not torch.from_numpy(array).isfinite().all():
                raise self.unusable(f"its tensor {name} has numbers that are not finite; give another model")
        return packed

    def unusable(self, advice: str) -> SettingError:
        """Make the error of a model that the run cannot start from."""
        return SettingError(KEY, self.path, advice)


def read_given(path: str) -> Given:
    """Read a model from a folder in diffusers' format, from an export, or from the Hugging Face hub.

    Only safetensors are read, no pickles. A pipeline's U-Net is in its subfolder `unet`. Tensors that older versions of
    diffusers named otherwise get their present names.

    Raises
    ------
    SettingError
        If there is none, or it cannot be fetched or read.
    """
    folder = _folder(path)
    try:
        config, facts = _json(folder / OPTIONS) or {}, exported_facts(folder.parent)
        unet = _unet_options(config) if config.get("_class_name") == UNet2DModel.__name__ else None
        if facts is not None:
            classes = tuple(map(str, facts.get("classes") or ()))
            return Given(path, exported_weights(folder.parent), facts["model"], unet, _schedule(folder), classes)
        state = load_file(folder / WEIGHTS) if unet is None else _state(folder, unet)
        return Given(path, state, None, unet, _schedule(folder))
    except Exception as error:  # whatever json, safetensors, diffusers and torch raise for files that they cannot use
        raise SettingError(KEY, path, f"cannot be loaded ({first_line(error)}); fetch {folder} again") from error


def check_hash(path: str, packed: PackedModel, expected: str | None) -> None:
    """Check that weights are those with which a run was started.

    Raises
    ------
    SettingError
        If they have another hash than the expected one, where there is one.
    """
    if expected is not None and packed.hash != expected:
        advice = f"has other weights here than the run was started with: their hash is {packed.hash[:16]} instead of "
        raise SettingError(KEY, path, f"{advice}{expected[:16]} (model.init_hash); bring the same files here")


def _difference(state: Mapping[str, Tensor], dense: Mapping[str, Shape]) -> str | None:
    """Say which tensor is the first that is not the network's, or a narrower network's."""
    for name, shape in dense.items():
        if name not in state:
            return f"it has no tensor {name}, which the configured network has with shape {list(shape)}"
        own = tuple(state[name].shape)
        fits = len(own) == len(shape) and own[2:] == shape[2:] and all(a <= b for a, b in zip(own, shape, strict=True))
        if not fits:
            return f"its tensor {name} has shape {list(own)}, the configured network's {list(shape)}"
    for name, tensor in state.items():
        if name not in dense:
            return f"it has a tensor {name} of shape {list(tensor.shape)}, which the configured network has not"
    return None


def _folder(path: str) -> Path:
    """Find the folder with options and weights: that of a pipeline's U-Net, if there is one."""
    whole, within = Source(KEY, path, "model"), Source(KEY, path, "model", "unet")
    local = Path(path).expanduser()
    if local.is_dir():
        return (within if (local / "unet" / OPTIONS).is_file() else whole).folder()
    try:
        folder = whole.folder()
    except SettingError as error:
        try:
            folder = within.folder()
        except SettingError:
            raise error from None
    for file in (FACTS, REST, SCHEDULER, f"scheduler/{SCHEDULER}"):  # of an export, or of a pipeline
        fetch_if_there(path, file)
    return folder


def _state(folder: Path, unet: Options) -> Mapping[str, Tensor]:
    """Read the weights of diffusers' UNet2DModel by their present names."""
    state = load_file(folder / WEIGHTS)
    with torch.device("meta"):
        names = UNet2DModel(**unet).state_dict().keys()
    if state.keys() == names:
        return dict(state)
    with torch.random.fork_rng(devices=[]):
        loaded = UNet2DModel.from_pretrained(
            folder, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True, output_loading_info=True
        )
    network, found = loaded
    if wrong := found["missing_keys"] or found["mismatched_keys"] or found["unexpected_keys"]:
        raise ValueError(f"its {OPTIONS} and its weights do not belong together: {wrong[0]}")
    renamed: Mapping[str, Tensor] = network.state_dict()
    return renamed


def _unet_options(config: Options) -> Options:
    """Fill in the defaults of diffusers' UNet2DModel; options that only other versions have are left out."""
    with torch.device("meta"):
        unet = UNet2DModel.from_config(dict(config))
    return {key: value for key, value in unet.config.items() if not key.startswith("_")}


def _schedule(folder: Path) -> Options | None:
    """Find the scheduler's options, in the pipeline or beside the weights."""
    return _json(folder.parent / "scheduler" / SCHEDULER) or _json(folder / SCHEDULER)


def _json(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    read = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(read, dict):
        raise TypeError(f"{file.name} must hold one object")
    return read

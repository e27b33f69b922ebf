"""A trained model with all that drawing from it takes, read from its run or from an export of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from fedphd.common.config import AutoencoderConfig, Config, DiffusionConfig
from fedphd.common.errors import SettingError
from fedphd.common.network import ConvNextUNet, UNet
from fedphd.common.network.autoencoder import Autoencoder
from fedphd.common.network.conditioning import number_of_classes
from fedphd.common.network.exported import REST, UNET, VAE, exported_facts
from fedphd.common.network.narrow import NarrowConvNextUNet, NarrowUNet2DModel, shapes_of
from fedphd.common.network.networks import image_shape
from fedphd.common.run.run_folder import RunFolder
from fedphd.common.training.samplers import DDIM, DDPM, SAMPLERS, SamplerConfig
from fedphd.launch.export.plain import FIRST, plain
from fedphd.server.pruning_schedule import merged
from fedphd.server.state import GlobalState
from fedphd.server.trained import trained_state

CPU = torch.device("cpu")
NETWORKS = {one.__name__: one for one in (UNet2DModel, ConvNextUNet, NarrowUNet2DModel, NarrowConvNextUNet)}
NARROW = {UNet2DModel: NarrowUNet2DModel, ConvNextUNet: NarrowConvNextUNet}


@dataclass(frozen=True)
class Drawable:
    """A model to draw with.

    Attributes
    ----------
    unet : UNet
        On the CPU, in evaluation mode. As an export has it: where plain diffusers can draw with one that predicts the
        same, that one.
    model : Mapping[str, object]
        The section `model` of the configuration that it was trained with.
    diffusion : DiffusionConfig
        The process that it reverses.
    sampler : SamplerConfig
        How it draws.
    autoencoder : Autoencoder or None
        That of its latents.
    classes : tuple[str, ...]
        Names of the classes that it is told, in the order of their numbers; none if it is not told any.
    rest : Mapping[str, Tensor]
        The trained tensors that `unet` has in another form.
    """

    unet: UNet
    model: Mapping[str, Any]
    diffusion: DiffusionConfig
    sampler: SamplerConfig
    autoencoder: Autoencoder | None = None
    classes: tuple[str, ...] = ()
    rest: Mapping[str, Tensor] | None = None

    @property
    def plainly_drawn(self) -> bool:
        """Whether a pipeline of diffusers' own draws with it: no latents, no classes, and DDIM or DDPM."""
        own = isinstance(self.sampler, DDIM | DDPM)
        return own and type(self.unet) is UNet2DModel and self.autoencoder is None and not self.classes

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of the images."""
        return image_shape(self.unet) if self.autoencoder is None else self.autoencoder.image_shape

    @property
    def is_portable(self) -> bool:
        """Whether its network is one of ours or diffusers', and can be loaded where this project is not."""
        return type(self.unet) in NETWORKS.values()


def of_run(run: Path, *, ema: bool = True, round: int | None = None) -> tuple[Drawable, Config, GlobalState]:
    """Read the model that a run has trained so far, with its configuration and what its root has kept.

    Raises
    ------
    SettingError
        If it cannot be read, as `fedphd.server.trained.trained_state` says.
    """
    config, state = trained_state(run, round=round)
    trained = merged(config, state.best if ema else state.model).eval()
    count = number_of_classes(trained)
    model = config.model.model_dump(mode="json", by_alias=True, exclude={"init", "init_hash", "adapters"})
    classes = () if count is None else _names(RunFolder(run).partition().get("class_names"), count)
    autoencoder = None if config.model.autoencoder is None else Autoencoder(config.model.autoencoder, CPU)
    drawable = Drawable(trained, model, config.diffusion, config.sampler, autoencoder, classes)
    return _as_exported(drawable), config, state


def of_export(folder: Path) -> Drawable:
    """Read an export. None of the Python files in it is run: the networks are this project's own.

    Raises
    ------
    SettingError
        If the folder is no export, or it is damaged or of another version.
    """
    try:
        facts = exported_facts(folder)
        if facts is None:
            advice = "is neither a run folder nor an export: it has neither config.yaml nor fedphd.json"
            raise SettingError("model", folder, advice)
        rest = load_file(folder / REST) if (folder / REST).is_file() else None
        return Drawable(
            _load_unet(folder / UNET),
            facts["model"],
            DiffusionConfig.model_validate(facts["diffusion"]),
            _sampler(folder, facts["sampler"]),
            _autoencoder(folder, facts["model"].get("autoencoder")),
            tuple(facts["classes"] or ()),
            rest,
        )
    except ValidationError as error:
        raise SettingError("model", folder, f"is an export of another version ({error.errors()[0]['msg']})") from None
    except SettingError:
        raise
    except Exception as error:  # whatever json, safetensors and diffusers raise for files that they cannot use
        cause = (str(error) or repr(error)).split("\n")[0]
        raise SettingError("model", folder, f"is an export that cannot be loaded ({cause})") from error


def _as_exported(drawable: Drawable) -> Drawable:
    """Bring the U-Net into a form that can be saved and loaded: plain if it can be, else narrow as it is."""
    trained = drawable.unet
    if drawable.plainly_drawn and (twin := plain(trained, drawable.diffusion.timesteps)) is not None:
        weights = trained.state_dict()
        rest = {name: weights[name] for name in (f"{FIRST}.weight", f"{FIRST}.bias")} if twin is not trained else None
        return replace(drawable, unet=twin, rest=rest)
    kind, options = NARROW.get(type(trained)), _options(trained)
    if kind is None or shapes_of(trained) == shapes_of(_skeleton(type(trained), options)):
        return drawable
    narrow: Any = kind(shapes=shapes_of(trained), **options)
    narrow.load_state_dict(trained.state_dict())
    return replace(drawable, unet=narrow.eval())


def _options(unet: Any) -> dict[str, Any]:
    """Give a network's options, where it is one of diffusers' kind."""
    given = unet.config if type(unet) in NARROW else {}
    return {key: value for key, value in given.items() if not key.startswith("_")}


def _skeleton(kind: type[UNet], options: Mapping[str, Any]) -> UNet:
    with torch.device("meta"):
        return kind(**options)


def _names(known: object, count: int) -> tuple[str, ...]:
    """Give the names of classes; their numbers, where the run has not told names for all."""
    named = known if isinstance(known, list) and len(known) == count else range(count)
    return tuple(str(name) for name in named)


def _load_unet(folder: Path) -> UNet:
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
    if kind not in NETWORKS:
        raise SettingError("model", folder.parent, f"has a network that this version does not know, {kind}")
    network, found = NETWORKS[kind].from_pretrained(
        folder, use_safetensors=True, low_cpu_mem_usage=False, local_files_only=True, output_loading_info=True
    )
    if wrong := found["missing_keys"] or found["mismatched_keys"] or found["unexpected_keys"]:
        raise ValueError(f"its options and its weights do not belong together: {wrong[0]}")
    return network.eval()  # type: ignore[no-any-return]


def _sampler(folder: Path, options: Mapping[str, Any]) -> SamplerConfig:
    """Read the options of an export's sampler; nothing is imported because an export names it."""
    if options["kind"] not in SAMPLERS.kinds:
        advice = f"has a sampler of its makers' own ({options['kind']}); draw with it as its model card says"
        raise SettingError("model", folder, advice)
    return SAMPLERS.read(options)


def _autoencoder(folder: Path, options: Mapping[str, Any] | None) -> Autoencoder | None:
    """Load an export's autoencoder, which may be in the export itself."""
    if options is None:
        return None
    where = {"path": str(folder), "subfolder": VAE} if (folder / VAE).is_dir() else {}
    return Autoencoder(AutoencoderConfig.model_validate({**options, **where}), CPU)

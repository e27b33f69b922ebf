"""Which networks there are, and what a network must fulfil.

A network is a `torch.nn.Module`, registered under the name that `model.network` gives, or a user's own by its import
path ``package.module:Class``. Of any network the code asks:

- **Options.** `model.unet` holds the keyword arguments of its constructor. Among them are `sample_size`, the side of
  the square images, and `in_channels`; there are as many output channels.
- **Prediction.** ``network(sample, timestep).sample`` predicts the noise in `sample`, shape (B, C, H, W), in the same
  shape. `timestep` is one number, or a tensor of shape (1,) or (B,).
- **Weights.** All that it computes with are parameters in floating point, each of one layer only, and no buffers: they
  are what travels and is averaged. Initial weights are drawn by torch's global generator. Constructor and forward pass
  also work on the `meta` device, which has shapes only.

More is asked only where a method needs it:

- **Exchange of parts** (all of `exchange` but `full`): every parameter's name begins with one of `wire.parts.PREFIXES`,
  diffusers' names of a U-Net's modules, such as `down_blocks`, and there are some of each part.
- **Features** (the contrastive term): a `mid_block`, which gives a tensor of shape (B, C, H, W).
- **Pruning**: the class says ``prunable = True``. Then torch-pruning can trace it, for which it returns diffusers'
  `UNet2DOutput`; it is made of Conv2d, ConvTranspose2d, Linear and GroupNorm layers and diffusers' `Attention`; its
  grouped convolutions are depthwise; and the last convolution in its `conv_out` makes the prediction.
- **Classes** (`model.classes`): among its options is `num_class_embeds`, the number of labels, by default none; then
  it is called as ``network(sample, timestep, class_labels)``, with one label for each image, a tensor of shape (B,).
- **Good advice**: the class's ``needs`` says what its options must fulfil, for the error where they do not.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar, cast

from diffusers import UNet2DModel
from torch import nn

from fedphd.common.choices import find_named
from fedphd.common.errors import SettingError
from fedphd.common.network.convnext import ConvNextUNet

KEY = "model.network"

UNet: TypeAlias = nn.Module  # any of the networks

N = TypeVar("N", bound=type[nn.Module])


@dataclass(frozen=True)
class Network:
    """A kind of network.

    Attributes
    ----------
    build : type[nn.Module]
        Builds it from its options.
    needs : str
        What its options must fulfil.
    prunable : bool
        Whether its channels can be removed.
    """

    build: type[nn.Module]
    needs: str
    prunable: bool

    @property
    def options(self) -> list[str]:
        """The names of its options; empty where it takes any."""
        parameters = inspect.signature(self.build).parameters.values()
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return []
        return sorted(parameter.name for parameter in parameters)


_NETWORKS: dict[str, Network] = {}


def register(kind: str, *, needs: str, prunable: bool) -> Callable[[N], N]:
    """Register the decorated class under the name that `model.network` gives; the rest as in `Network`.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if kind in _NETWORKS:
        raise ValueError(f"{KEY}={kind} is registered twice")

    def register(network: N) -> N:
        _NETWORKS[kind] = Network(network, needs, prunable)
        return network

    return register


def find_network(kind: str) -> Network:
    """Find a network by its registered name, or a user's own by its import path ``package.module:Class``.

    Raises
    ------
    SettingError
        If there is no such network.
    """
    found = find_named(KEY, kind, _NETWORKS, "network", "package.module:Class")
    if isinstance(found, Network):
        return found
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise SettingError(KEY, kind, "is no subclass of torch.nn.Module")
    return _of(found)


def check_prunable(unet: UNet) -> None:
    """Check that a network's channels can be removed.

    Raises
    ------
    SettingError
        If they cannot.
    """
    network = type(unet)
    if not _of(network).prunable:
        can = ", ".join(kind for kind, one in _NETWORKS.items() if one.prunable)
        advice = f"cannot be pruned, or does not say prunable = True; train it without pruning, or use {can}"
        raise SettingError(KEY, f"{network.__module__}:{network.__qualname__}", advice)


def image_shape(unet: UNet) -> tuple[int, int, int]:
    """Shape (C, H, W) of the images for which a network is configured."""
    options = cast(Any, unet).config
    return options.in_channels, options.sample_size, options.sample_size


def note_options(unet: UNet, options: Mapping[str, object]) -> None:
    """Give a network its options as `config`, if it does not have them there, as diffusers' networks do."""
    if not hasattr(unet, "config"):
        bound = inspect.signature(type(unet)).bind(**options)
        bound.apply_defaults()
        unet.config = SimpleNamespace(**bound.arguments | dict(options))  # type: ignore[assignment]


def _of(network: type[nn.Module]) -> Network:
    for known in _NETWORKS.values():
        if known.build is network:
            return known
    needs = "it must predict noise of the shape of the image"
    return Network(network, str(getattr(network, "needs", needs)), bool(getattr(network, "prunable", False)))


register(
    "unet2d",
    needs="block_out_channels must be multiples of norm_num_groups, sample_size of 2 ** (blocks - 1), "
    "and in_channels equal to out_channels",
    prunable=True,
)(UNet2DModel)
register(
    "convnext",
    needs="dim must be at least 4, sample_size a multiple of 2 ** (levels - 1), and in_channels equal to out_channels",
    prunable=True,
)(ConvNextUNet)

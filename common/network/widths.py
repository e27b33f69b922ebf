"""The widths of a network's layers: set from the shapes of their weights, and noted where blocks note them.

Exports carry a copy of this module, so it imports nothing of ours (`fedphd.launch.export.bundle`).
"""

from collections.abc import Mapping

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

Shape = tuple[int, ...]


class WidthError(ValueError):
    """A width that a layer cannot have."""


def set_widths(unet: nn.Module, shapes: Mapping[str, Shape]) -> None:
    """Give all layers of a network parameters of new shapes, whose numbers mean nothing yet.

    Parameters
    ----------
    unet : nn.Module
        Changed in place.
    shapes : Mapping[str, tuple[int, ...]]
        Of all its parameters, by name.

    Raises
    ------
    WidthError
        If a layer cannot have these shapes.
    """
    for name, module in unet.named_modules():
        own = {key: shapes[f"{name}.{key}" if name else key] for key, _ in module.named_parameters(recurse=False)}
        if own:
            _resize(name, module, own)
    refresh_widths(unet)


def refresh_widths(unet: nn.Module) -> None:
    """Renew, after layers were narrowed in place, what diffusers' blocks note about their widths.

    Up- and downsampling assert their number of channels; attention notes the scale 1/sqrt(d) and
    its inner width, which some attention processors use.

    Raises
    ------
    WidthError
        If an attention has fewer channels than heads.
    """
    for module in unet.modules():
        if isinstance(module, Upsample2D | Downsample2D) and isinstance(module.conv, nn.Conv2d):
            module.channels, module.out_channels = module.conv.in_channels, module.conv.out_channels
        elif isinstance(module, Attention):
            _refresh_attention(module)
        elif isinstance(module, ResnetBlock2D):  # resamples its input without a convolution
            for resampler in filter(None, (module.upsample, module.downsample)):
                resampler.channels = resampler.out_channels = module.norm1.num_channels


def _refresh_attention(attention: Attention) -> None:
    attention.query_dim, attention.cross_attention_dim = attention.to_q.in_features, attention.to_k.in_features
    attention.inner_dim, attention.inner_kv_dim = attention.to_q.out_features, attention.to_k.out_features
    attention.out_dim = attention.to_out[0].out_features
    width = attention.inner_dim // attention.heads
    if not width:
        raise WidthError(f"attention with {attention.heads} heads has {attention.inner_dim} channels")
    attention.scale = width**-0.5


def _resize(name: str, module: nn.Module, shapes: Mapping[str, Shape]) -> None:
    """Give one layer parameters of new shapes, and renew its own note of its widths."""
    if any(shape != tuple(module.get_parameter(key).shape) for key, shape in shapes.items()):
        _note_widths(name, module, shapes)
    for key, shape in shapes.items():
        old = module.get_parameter(key)
        setattr(module, key, nn.Parameter(torch.empty(shape, dtype=old.dtype, device=old.device)))


def _note_widths(name: str, module: nn.Module, shapes: Mapping[str, Shape]) -> None:
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.GroupNorm | nn.Embedding):
        key = next(key for key, shape in shapes.items() if shape != tuple(module.get_parameter(key).shape))
        raise WidthError(f"tensor {name}.{key}: shape {shapes[key]}, but only layers with channels can be narrower")
    weight = shapes["weight"]
    outputs = weight[1:2] if isinstance(module, nn.ConvTranspose2d | nn.Embedding) else weight[:1]
    if shapes.get("bias", outputs) != outputs:
        raise WidthError(f"tensor {name}.bias: shape {shapes['bias']} must be {outputs}, as its weight's outputs")
    if isinstance(module, nn.ConvTranspose2d):
        module.in_channels, module.out_channels = weight[:2]
    elif isinstance(module, nn.Conv2d) and module.groups > 1:  # depthwise, the only groups that are pruned
        module.groups = module.in_channels = module.out_channels = weight[0]
    elif isinstance(module, nn.Conv2d):
        module.out_channels, module.in_channels = weight[:2]
    elif isinstance(module, nn.Embedding):
        if weight[0] != module.num_embeddings:
            raise WidthError(f"tensor {name}.weight: {weight[0]} rows must be {module.num_embeddings}")
        module.embedding_dim = weight[1]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight
    else:
        if weight[0] % module.num_groups:
            raise WidthError(f"tensor {name}.weight: width {weight[0]} must be a multiple of {module.num_groups}")
        module.num_channels = weight[0]

"""A U-Net as one that plain diffusers builds from options, where there is such a one.

A U-Net whose levels were narrowed alike has the shapes of an ordinary, narrower `UNet2DModel`, but for one: the
sinusoids of the time are still as many as the dense one's first level had channels. Since only T of them are ever
asked for, and these T vectors span few dimensions, a table of T narrower vectors does instead ("learned" in diffusers).
"""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from fedphd.common.network import UNet
from fedphd.common.network.conditioning import apply
from fedphd.common.network.exported import TABLE
from fedphd.common.network.networks import image_shape
from fedphd.common.network.structure import Structure

FIRST = "time_embedding.linear_1"
TOLERANCE = 1e-4  # of the largest number that the U-Net predicts


def plain(unet: Any, timesteps: int) -> UNet2DModel | None:
    """Give a `UNet2DModel` that plain diffusers can save and load, and that predicts the same.

    Parameters
    ----------
    unet : UNet
        Dense or pruned, on the CPU, in evaluation mode; itself if nothing needs to change.
    timesteps : int
        T of its diffusion.

    Returns
    -------
    UNet2DModel or None
        None if no options of a `UNet2DModel` have these shapes and attention heads, or its predictions would differ.
    """
    if type(unet) is not UNet2DModel:
        return None
    dense = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    if _is_built_by(dense, unet):
        return unet
    options = _narrowed(unet, dense, timesteps)
    if options is None or not _is_built_by(options, unet, but=(TABLE, f"{FIRST}.weight")):
        return None
    twin = UNet2DModel(**options).eval()
    twin.load_state_dict({**unet.state_dict(), **_table(unet, timesteps, options["block_out_channels"][0])})
    return twin if predicts_alike(unet, twin, timesteps) else None


def predicts_alike(one: UNet, other: UNet, timesteps: int, tolerance: float = TOLERANCE) -> bool:
    """Whether two networks predict the same from some noise at times over the whole range."""
    times = torch.linspace(0, timesteps - 1, 16).round().long()
    noise = torch.randn((len(times), *image_shape(one)), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, given = apply(one, noise, times), apply(other, noise, times)
    return bool((expected - given).abs().max() <= tolerance * expected.abs().max())


def _narrowed(unet: UNet2DModel, options: Mapping[str, Any], timesteps: int) -> dict[str, Any] | None:
    """Give the options of a narrower dense U-Net, as far as the pruned one's layers say."""
    heads = {attention.to_q.out_features // attention.heads for attention in _attentions(unet)}
    if options["time_embedding_type"] != "positional" or len(heads) > 1:
        return None
    narrowed = {
        **options,
        "block_out_channels": tuple(block.resnets[-1].conv2.out_channels for block in unet.down_blocks),
        "time_embedding_dim": unet.time_embedding.linear_2.out_features,
        "time_embedding_type": "learned",
        "num_train_timesteps": timesteps,
    }
    if heads and options["attention_head_dim"] is not None:
        narrowed["attention_head_dim"] = heads.pop()
    return narrowed


def _is_built_by(options: Mapping[str, Any], unet: UNet2DModel, but: tuple[str, ...] = ()) -> bool:
    """Whether a `UNet2DModel` of these options has the same weights, groups and heads, but for some weights."""
    try:
        with torch.device("meta"):
            built = UNet2DModel(**options)
    except Exception:  # whatever diffusers and torch raise for widths that do not fit the options
        return False
    return _described(built, but) == _described(unet, but)


def _described(unet: UNet2DModel, but: tuple[str, ...]) -> tuple[object, ...]:
    weights = {name: shape for name, shape in Structure.of(unet.state_dict()).tensors if name not in but}
    groups = [module.num_groups for module in unet.modules() if isinstance(module, nn.GroupNorm)]
    heads = [(attention.heads, attention.scale) for attention in _attentions(unet)]
    return weights, groups, heads


def _attentions(unet: UNet) -> list[Attention]:
    return [module for module in unet.modules() if isinstance(module, Attention)]


def _table(unet: UNet2DModel, timesteps: int, channels: int) -> dict[str, Tensor]:
    """Make the table of T vectors in place of sinusoids, and the layer that reads it.

    With S the sinusoids (T, C) and W, b of the layer that reads them, the rows of Z = S W^T lie, but for their mean, in
    nearly as few dimensions as the best approximation of that rank has: Z - mean = U diag(s) V^T.
    """
    layer = unet.time_embedding.linear_1
    Z = unet.time_proj(torch.arange(timesteps)).double() @ layer.weight.detach().double().T
    U, s, Vh = torch.linalg.svd(Z - Z.mean(0), full_matrices=False)
    table, weight = torch.zeros(timesteps, channels), torch.zeros(len(layer.weight), channels)
    rank = min(channels, len(s))
    root = s[:rank].sqrt()
    table[:, :rank], weight[:, :rank] = U[:, :rank] * root, Vh[:rank].T * root
    bias = (layer.bias.detach().double() + Z.mean(0)).float()
    return {TABLE: table, f"{FIRST}.weight": weight, f"{FIRST}.bias": bias}

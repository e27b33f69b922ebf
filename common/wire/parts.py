"""The parts of a U-Net (FedDiffuse, arXiv:2406.12575); which of them travel is in common/wire/exchange/.

The parts are named by tensors' names, as in diffusers: the encoder is all up to the bottleneck, with the
time embedding; the decoder is all after it, with the output.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the configuration imports this file, and must not import torch
    from fedphd.common.network.structure import Structure

ENCODER, BOTTLENECK, DECODER = PARTS = ("encoder", "bottleneck", "decoder")
Parts = tuple[str, ...]

PREFIXES = {
    "conv_in": ENCODER,
    "time_proj": ENCODER,
    "time_embedding": ENCODER,
    "class_embedding": ENCODER,
    "down_blocks": ENCODER,
    "mid_block": BOTTLENECK,
    "up_blocks": DECODER,
    "conv_norm_out": DECODER,
    "conv_out": DECODER,
}


def part_of(tensor: str) -> str:
    """Name the part that a tensor belongs to.

    Raises
    ------
    ValueError
        If its name does not tell.
    """
    prefix = tensor.split(".", maxsplit=1)[0]
    if prefix not in PREFIXES:
        raise ValueError(f"tensor {tensor} belongs to no part; names must begin with {', '.join(PREFIXES)}")
    return PREFIXES[prefix]


@lru_cache(maxsize=64)
def restrict(structure: Structure, parts: Parts) -> Structure:
    """Keep the tensors of some parts; the structure itself if that is all of them."""
    if parts == PARTS:
        return structure  # whatever its names are
    kept = tuple((name, shape) for name, shape in structure.tensors if part_of(name) in parts)
    return structure if kept == structure.tensors else replace(structure, tensors=kept)

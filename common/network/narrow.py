"""Pruned networks as models of diffusers: their configuration has the shapes that pruning left.

Diffusers builds a network from options, which cannot say that some layers are narrower than others. These also take
the shapes, so that `save_pretrained` and `from_pretrained` work.

Exports carry a copy of this module, so it imports nothing of ours but `widths` and `convnext`
(`fedphd.launch.export.bundle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, Signature, signature
from typing import Any

from diffusers import UNet2DModel
from torch import nn

from fedphd.common.network.convnext import ConvNextUNet
from fedphd.common.network.widths import set_widths

Shapes = Mapping[str, str]  # of the weights by name, each as "96x3x3x3"


class NarrowUNet2DModel(UNet2DModel):  # type: ignore[misc]
    """A `UNet2DModel` whose layers are as narrow as `shapes` says; its other options are those of the dense one."""

    def __init__(self, shapes: Shapes, **options: Any) -> None:
        super().__init__(**options)
        _narrow(self, shapes)


class NarrowConvNextUNet(ConvNextUNet):
    """A `ConvNextUNet` whose layers are as narrow as `shapes` says; its other options are those of the dense one."""

    def __init__(self, shapes: Shapes, **options: Any) -> None:
        super().__init__(**options)
        _narrow(self, shapes)


def shapes_of(network: nn.Module) -> dict[str, str]:
    """Give the shapes of all weights, as the narrow networks take them."""
    return {name: "x".join(map(str, weight.shape)) for name, weight in network.state_dict().items()}


def _narrow(network: Any, shapes: Shapes) -> None:
    network.register_to_config(shapes=dict(shapes))
    set_widths(network, {name: tuple(map(int, shape.split("x"))) for name, shape in shapes.items()})


def _takes_shapes(network: type) -> None:
    """Declare all options: diffusers passes on those that the signature names."""
    options = list(signature(network.__mro__[1].__init__).parameters.values())  # type: ignore[misc]
    shapes = Parameter("shapes", Parameter.KEYWORD_ONLY)
    network.__init__.__signature__ = Signature([*options, shapes])  # type: ignore[misc]


_takes_shapes(NarrowUNet2DModel)
_takes_shapes(NarrowConvNextUNet)

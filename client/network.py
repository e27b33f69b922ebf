"""The client's U-Net, kept between messages where the process lives that long."""

import json
from functools import lru_cache

from diffusers import UNet2DModel

from common.config import ModelConfig
from common.model import rebuild_unet
from common.packing import PackedModel, unpack
from common.structure import Structure


def network(model: ModelConfig, packed: PackedModel) -> UNet2DModel:
    """Give the U-Net with the weights of `packed`; it is lent until the next call.

    A process of a simulation serves many clients: it builds the U-Net once for each structure (and
    compiles it once), then only fills in weights. Deployed, each message has a process of its own.

    Raises
    ------
    StructureError
        If the configured U-Net cannot have the structure.
    """
    unet = _built(model.name, json.dumps(model.unet, sort_keys=True), packed.structure)
    unet.load_state_dict(unpack(packed))
    unet.requires_grad_(True).zero_grad(set_to_none=True)
    return unet


@lru_cache(maxsize=1)
def _built(name: str, options: str, structure: Structure) -> UNet2DModel:
    return rebuild_unet(ModelConfig(name=name, unet=json.loads(options)), structure)

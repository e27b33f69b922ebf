"""The client's U-Net, kept between messages where the process lives that long."""

from functools import lru_cache

from fedphd.common.config import ModelConfig
from fedphd.common.network import UNet
from fedphd.common.network.packing import PackedModel, unpack
from fedphd.common.network.rebuild import rebuild_unet
from fedphd.common.network.structure import Structure


def network(model: ModelConfig, packed: PackedModel) -> UNet:
    """Give the U-Net with the weights of `packed`; it is lent until the next call.

    A process of a simulation serves many clients: it builds the U-Net once for each structure (and
    compiles it once), then only fills in weights. Deployed, each message has a process of its own.

    Raises
    ------
    StructureError
        If the configured U-Net cannot have the structure.
    """
    unet = _built(model.model_dump_json(), packed.structure)
    unet.load_state_dict(unpack(packed))
    unet.requires_grad_(True).zero_grad(set_to_none=True)
    return unet


@lru_cache(maxsize=1)
def _built(model: str, structure: Structure) -> UNet:
    return rebuild_unet(ModelConfig.model_validate_json(model), structure)

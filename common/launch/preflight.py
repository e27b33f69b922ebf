"""What can be found wrong before any process is started."""

from common.compute import pick_device
from common.config import Config
from common.data import check_fits, load
from common.diffusion import Diffusion
from common.model import build_unet
from common.partition import partition
from common.pruning import prune


def check(config: Config) -> None:
    """Read the data, draw the partition, build and prune the U-Net once, as the run will.

    A ratio that cannot be pruned would else be found only after the sparse rounds.

    Raises
    ------
    SettingError
        If the images cannot be read, do not fit the U-Net, or cannot be split as asked; if the U-Net
        cannot be built or pruned so; if the device is not there.
    """
    pick_device(config.runtime.device)
    Diffusion(config.diffusion)
    images = load(config.data, "train", config.seed)
    check_fits(images, config.model)
    partition(images.labels, len(images.class_names), config.partition, config.topology.clients, config.seed)
    unet = build_unet(config.model, config.seed)
    if config.structure.kind != "dense":
        prune(unet, config.structure.ratio)

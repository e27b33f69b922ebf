"""A U-Net that follows the images: what its options leave open (null), they say."""

from collections.abc import Iterator, Mapping

from fedphd.common.config import Config
from fedphd.common.config.topology import client_id
from fedphd.common.data import DataSet, holder_data, load
from fedphd.common.data.holders import ROOT
from fedphd.common.errors import SettingError

AXES = {"in_channels": 0, "out_channels": 0, "sample_size": 1}  # of an image's shape (C, H, W)


def follow_images(config: Config) -> Config:
    """Give the U-Net the size and the channels of the images, where they are left open.

    With `partition=own` the images are those of the root, or else of the first client that has some on this machine;
    `data.channels`, if it is left open too, then says the same to all clients, of which one may have grey images only.

    Returns
    -------
    Config
        The same configuration, if nothing is left open.

    Raises
    ------
    SettingError
        If there are no images on this machine, they cannot be read, or the U-Net cannot be of their size.
    """
    unet = config.model.unet
    left_open = [name for name in AXES if name in unet and unet[name] is None]
    if not left_open:
        return config
    shape = _shape(config, left_open)
    unet = unet | {name: shape[AXES[name]] for name in left_open}
    _check_side(config, unet)
    model = config.model.model_copy(update={"unet": unet})
    data = config.data if config.partition.splits else _of_channels(config.data, shape[0])
    return config.model_copy(update={"model": model, "data": data})


def _shape(config: Config, left_open: list[str]) -> tuple[int, int, int]:
    """Look at the first images that are on this machine."""
    advice = f"follows the images, of which there are none on this machine; give {', '.join(AXES)}"
    if config.model.autoencoder is not None:
        advice = f"cannot follow latents; give {', '.join(AXES)} of what the autoencoder makes"
        raise SettingError(f"model.unet.{left_open[0]}", None, advice)
    missing = SettingError(f"model.unet.{left_open[0]}", None, advice)
    for data in dict.fromkeys(holder_data(config, holder) for holder in _holders(config)):
        try:
            data.check_there()
        except SettingError as error:
            missing = error if config.partition.splits else missing
            continue
        return load(data, "train", config.seed).shape
    raise missing


def _holders(config: Config) -> Iterator[str]:
    yield ROOT
    if not (config.partition.splits or config.runtime.elsewhere):
        yield from (client_id(index) for index in range(config.topology.clients))


def _check_side(config: Config, unet: Mapping[str, object]) -> None:
    """Check that the U-Net can halve the images as often as it does."""
    widths, side = unet.get("block_out_channels"), unet.get("sample_size")
    if not (isinstance(widths, list) and isinstance(side, int)):
        return  # another network, which says so itself
    step = 2 ** (len(widths) - 1)
    if side % step:
        near = max(step, round(side / step) * step)
        advice = f"model={config.model.name} takes sides that are multiples of {step}; use {near}, or another model"
        raise SettingError("data.size" if hasattr(config.data, "size") else "model.unet.sample_size", side, advice)


def _of_channels(data: DataSet, channels: int) -> DataSet:
    if getattr(data, "channels", channels) is not None:
        return data
    return data.model_copy(update={"channels": channels})

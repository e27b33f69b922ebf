"""A U-Net that follows the images: what its options leave open (null), they say."""

from collections.abc import Iterator, Mapping

from fedphd.common.config import Config
from fedphd.common.data import DataSet, holder_data, load
from fedphd.common.errors import SettingError
from fedphd.launch.holdings import holders_here, whose

AXES = {"sample_size": 1, "in_channels": 0, "out_channels": 0}  # of an image's shape (C, H, W)
USUAL = {"sample_size": 32, "in_channels": 3, "out_channels": 3}  # an example to type


def follow_images(config: Config) -> Config:
    """Give the U-Net the size and the channels of the images, where they are left open.

    With `partition=own` the images are those of the root, or else of the first client that has some on this machine;
    if `data.channels` is left open too, of all of them those in colour, if there are any. It then says the same to all
    clients, of which one may have grey images only.

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
    """Look at the images that are on this machine."""
    if config.model.autoencoder is not None:
        advice = f"cannot follow latents; give {', '.join(AXES)} of what the autoencoder makes"
        raise SettingError(f"model.unet.{left_open[0]}", None, advice)
    shapes = _shapes(config)
    shape = next(shapes, None)
    if shape is None:
        settings = " ".join(f"model.unet.{name}={USUAL[name]}" for name in left_open)
        advice = f"follows the images, of which there are none on this machine; give theirs, as {settings}"
        raise SettingError(f"model.unet.{left_open[0]}", None, advice)
    if config.partition.splits or not _channels_open(config.data):
        return shape
    return max([shape, *shapes], key=lambda one: one[0])


def _shapes(config: Config) -> Iterator[tuple[int, int, int]]:
    """Give the shape of the one set that is split, or of each holder's images that are on this machine."""
    if config.partition.splits:
        config.data.check_there()
        yield load(config.data, "train", config.seed).shape
        return
    for holder in holders_here(config):
        data = holder_data(config, holder)
        try:
            data.check_there()
        except SettingError:
            continue
        with whose(holder):
            yield load(data, "train", config.seed).shape


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
    return data.model_copy(update={"channels": channels}) if _channels_open(data) else data


def _channels_open(data: DataSet) -> bool:
    return hasattr(data, "channels") and data.channels is None


def notes_on_following(given: Config, config: Config) -> list[str]:
    """Tell if clients elsewhere will make their images grey because the root's are.

    Parameters
    ----------
    given, config : Config
        Before and after `follow_images`.
    """
    told = config.runtime.elsewhere and _channels_open(given.data) and getattr(config.data, "channels", None) == 1
    return ["data.channels=1 follows the root's images; give data.channels=3 if clients have colour"] * told

"""How many classes a model is told: as many as the images have."""

from fedphd.common.config import CLASS_EMBEDS, Config
from fedphd.common.data import holder_data, load
from fedphd.common.data.holders import ROOT
from fedphd.common.errors import SettingError


def with_classes(config: Config) -> Config:
    """Set the U-Net's number of labels from the images, where `model.classes` asks for labels.

    Processes elsewhere build the model from the configuration alone, so this comes before any of them starts.

    Parameters
    ----------
    config : Config
        As the user gave it; one that is complete stays as it is.

    Raises
    ------
    SettingError
        If there are no images here, fewer than two classes, or another number of them than is set.
    """
    told = config.model.classes
    if told is None:
        return config
    data = holder_data(config, ROOT)
    data.check_there()
    classes = load(data, "train", config.seed).class_names
    if len(classes) < 2:
        raise SettingError("model.classes", told, f"the images are all of one class, {classes[0]}; use null")
    given, embeds = config.model.unet.get(CLASS_EMBEDS), len(classes) + 1
    if given not in (None, embeds):
        advice = f"the images have {len(classes)} classes, and one label says no class: {embeds}; leave it out"
        raise SettingError(f"model.unet.{CLASS_EMBEDS}", given, advice)
    model = config.model.model_copy(update={"unet": config.model.unet | {CLASS_EMBEDS: embeds}})
    return config.model_copy(update={"model": model})

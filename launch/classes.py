"""How many classes a model is told: as many as the images have."""

from fedphd.common.config import CLASS_EMBEDS, Config
from fedphd.common.data import holder_data, load
from fedphd.common.data.class_doubts import other_kinds
from fedphd.common.data.class_list import common_classes
from fedphd.common.errors import SettingError
from fedphd.launch.holdings import holders_here, whose


def with_classes(config: Config) -> Config:
    """Set the U-Net's number of labels from the images, where `model.classes` asks for labels.

    Processes elsewhere build the model from the configuration alone, so this comes before any of them starts. Where
    each client brings images of its own, and all of them are on this machine, `data.classes` is set too: so a number
    means the same class to everyone.

    Parameters
    ----------
    config : Config
        As the user gave it; one that is complete stays as it is.

    Raises
    ------
    SettingError
        If nothing here says which classes there are, there are fewer than two, the number that is set is another, or
        clients do not name them alike.
    """
    told = config.model.classes
    if told is None:
        return config
    config = _with_names(config)
    classes = config.data.fixed_classes or load(config.data, "train", config.seed).class_names
    if len(classes) < 2:
        raise SettingError("model.classes", told, f"the images are all of one class, {classes[0]}; use null")
    given, embeds = config.model.unet.get(CLASS_EMBEDS), len(classes) + 1
    if given not in (None, embeds):
        advice = f"the images have {len(classes)} classes, and one label says no class: {embeds}; leave it out"
        raise SettingError(f"model.unet.{CLASS_EMBEDS}", given, advice)
    model = config.model.model_copy(update={"unet": config.model.unet | {CLASS_EMBEDS: embeds}})
    return config.model_copy(update={"model": model})


def _with_names(config: Config) -> Config:
    """See that all holders number classes alike."""
    data = config.data
    if config.partition.splits:
        data.check_there()
        return config
    if data.fixed_classes is not None:
        return config
    if config.runtime.elsewhere or "classes" not in type(data).model_fields:
        advice = "each client brings its own images; with model.classes=labels name all classes: data.classes=[a,b]"
        raise SettingError("data.classes", None, advice)
    named = {holder: _names(config, holder) for holder in holders_here(config)}
    for holder, doubt in other_kinds(named).items():
        raise SettingError("data.classes", None, f"{holder}: {doubt}")
    classes = tuple(common_classes(named.values()))
    return config.model_copy(update={"data": data.model_copy(update={"classes": classes})})


def _names(config: Config, holder: str) -> tuple[str, ...]:
    data = holder_data(config, holder)
    data.check_there()
    with whose(holder):
        return load(data, "train", config.seed).class_names

"""Whether a given model fits the configured network; if not, what would have to be set."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fedphd.common.config import CLASS_EMBEDS, Config, ModelConfig
from fedphd.common.config.adapters import NoAdapters
from fedphd.common.errors import SettingError
from fedphd.common.network.build import dense_structure, skeleton
from fedphd.common.network.exported import FACTS
from fedphd.common.network.given import Given
from fedphd.common.network.networks import UNet
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.rebuild import check_structure
from fedphd.common.network.structure import Structure, StructureError
from fedphd.server.given_classes import as_setting

# Options that change neither the weights' shapes nor what the network makes of an image.
WITHOUT_EFFECT = {"sample_size", "dropout"}
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}  # in diffusers' words, and in ours

Options = dict[str, Any]


def fitted(given: Given, config: Config) -> PackedModel:
    """Give the weights of a given model for the configured network: the dense one, or one that was pruned before.

    Parameters
    ----------
    given : Given
        The model.
    config : Config
        `model` says what the network is, without adapters; `pruning` whether it will be pruned.

    Raises
    ------
    SettingError
        If the network has other tensors; if one of its options is another, with which the same weights would make
        another function; or if the model was pruned before, and the run would prune it, or needs a dense one.
    """
    model = _plain(config.model)
    settings, dense = _settings(given, model), dense_structure(model)
    try:
        weights = given.packed(dense)
    except SettingError as error:
        raise given.unusable(f"{error.advice}; {_advice(given, model, settings)}") from error
    if settings:
        what = _narrower(weights.structure, dense) or "its weights would fit, but make another function"
        raise given.unusable(f"{what}; {_advice(given, model, settings)}")
    _check_prediction(given, config)
    if weights.structure != dense:
        _check_pruned(given, weights.structure, config)
    return weights


def notes_on(given: Given, weights: PackedModel, config: Config) -> list[str]:
    """Say in what the run differs from the one that a model was trained in, as far as that is known."""
    dense, model = dense_structure(_plain(config.model)), config.model
    notes = []
    if weights.structure != dense:
        size = f"{weights.structure.size:,} of {dense.size:,} parameters"
        notes.append(f"model.init was pruned before: it has {size}, and goes on as it is")
    trained = {"sample_size": _options(given).get("sample_size"), **(given.schedule or {})}
    now = {"sample_size": model.unet.get("sample_size"), **config.diffusion.schedule}
    other = [f"{key}={trained[key]} (now {now[key]})" for key in now if trained.get(key) not in (None, now[key])]
    if other:
        notes.append(f"model.init was trained with {', '.join(other)}")
    if _has_another_autoencoder(given, model):
        notes.append("model.init was trained with another model.autoencoder")
    return notes


def _has_another_autoencoder(given: Given, model: ModelConfig) -> bool:
    """Whether a model is known to be of another autoencoder; of one in an export, only its options are known."""
    if given.model is None:
        return False
    told, own = given.model.get("autoencoder"), model.model_dump(mode="json")["autoencoder"]
    if told is not None and own is not None and told.get("path") is None:
        told, own = ({**one, "path": None, "subfolder": None} for one in (told, own))
    return bool(told != own)


def _plain(model: ModelConfig) -> ModelConfig:
    """Give the network alone."""
    return model.model_copy(update={"init": None, "init_hash": None, "adapters": NoAdapters(kind="none")})


def _settings(given: Given, model: ModelConfig) -> list[str]:
    """Give the settings by which the network would be configured as the given one was, where they differ."""
    own, differs = _options_of(skeleton(model)), []
    for key, value in sorted(_options(given).items()):
        if key in WITHOUT_EFFECT or json.dumps(value) == json.dumps(own.get(key)):
            continue
        if key != CLASS_EMBEDS:
            differs.append(shlex.quote(f"++model.unet.{key}={_shown(value)}"))
        elif None in (value, own.get(key)):
            differs.append(f"model.classes={'null' if value is None else 'labels'}")
        else:  # one label says no class
            differs.append(as_setting(given.classes) if given.classes else _with_names(int(value) - 1))
    return differs


def _with_names(count: int) -> str:
    return f"data.classes with {count} name{'s' * (count != 1)}"


def _options(given: Given) -> Options:
    """Give the options of the given network, defaults filled in; none if they are not known."""
    if given.model is None:
        return dict(given.unet or {})
    try:
        model = ModelConfig.model_validate(given.model)
        return _options_of(skeleton(_plain(model)))
    except (SettingError, ValidationError) as error:
        cause = str(error).split("\n")[0]
        raise given.unusable(f"its {FACTS} or config.yaml is not of this version of fedphd ({cause})") from None


def _options_of(unet: UNet) -> Options:
    config = unet.config
    known = config if isinstance(config, Mapping) else vars(config)
    return {str(key): value for key, value in known.items() if not str(key).startswith("_")}


def _shown(value: object) -> str:
    return json.dumps(value).replace('"', "").replace(" ", "")


def _advice(given: Given, model: ModelConfig, settings: list[str]) -> str:
    name = None if given.model is None else given.model.get("name")
    if name not in (None, model.name):
        return f"it was trained with model={name}, and this run has model={model.name}"
    if settings:
        return f"set what it was made with: {' '.join(settings)}"
    return f"model={model.name} is another network; use the model that it was made with"


def _narrower(structure: Structure, dense: Structure) -> str | None:
    """Name the first tensor that is narrower than the dense network's."""
    for (name, shape), (_, whole) in zip(structure.tensors, dense.tensors, strict=True):
        if shape != whole:
            return f"its tensor {name} has shape {list(shape)}, the configured network's {list(whole)}"
    return None


def _check_prediction(given: Given, config: Config) -> None:
    said = (given.schedule or {}).get("prediction_type")
    own = config.diffusion.schedule["prediction_type"]
    if said in (None, own):
        return
    ours = PREDICTIONS.get(said)
    advice = "which is not to be had here" if ours is None else f"set diffusion.prediction={ours}"
    raise given.unusable(f"predicts {said}, and this run trains {own}; {advice}")


def _check_pruned(given: Given, structure: Structure, config: Config) -> None:
    """Check that a model which was pruned before can go on; that it is pruned again is not offered."""
    try:
        check_structure(_plain(config.model), structure)
    except StructureError as error:
        raise given.unusable(f"it is no pruned model={config.model.name} ({error})") from error
    if config.model.adapters.freezes:
        raise given.unusable("was pruned before, and adapters need a dense model; give one, or use adapters=none")
    if config.pruning.after is not None:
        raise given.unusable(
            f"was pruned before, and pruning={config.pruning.kind} prunes a dense one; use pruning=none"
        )

"""The model before the first round: drawn from the seed, or given by the user (`model.init`)."""

from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.given import KEY, Given, check_hash, read_given
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.pruning import prune
from fedphd.common.run.run_folder import CONFIG, RunFolder
from fedphd.server.fitting import fitted, notes_on
from fedphd.server.given_classes import check_classes
from fedphd.server.pruning_schedule import load_unet, merged
from fedphd.server.trained import trained_model


def first_model(config: Config) -> PackedModel:
    """Make the model that the first round starts from, before a pruning at the start.

    Raises
    ------
    SettingError
        If the network cannot be built, or `model.init` cannot be read, does not fit it, or is not what the run was
        started with.
    """
    if config.model.init is None or config.model.adapters.freezes:
        return pack(build_unet(config.model, config.seed).state_dict())
    model = fitted(find_given(config), config)
    check_hash(config.model.init, model, config.model.init_hash)
    return model


def pruned_first_model(config: Config) -> PackedModel:
    """Make the model that the first round starts from, also for a run that is long past it; raises as `first_model`."""
    model = first_model(config)
    if config.pruning.after != 0:
        return model
    unet, _ = prune(load_unet(config, model), config.pruning.share)
    return pack(unet.state_dict())


def identified(config: Config) -> tuple[Config, list[str]]:
    """Note which weights `model.init` names, for whoever reads them later.

    Returns
    -------
    tuple[Config, list[str]]
        The configuration with `model.init_hash`, and what the user should know of these weights. A resumed run has
        them in its checkpoint, and their hash in its configuration.

    Raises
    ------
    SettingError
        If they cannot be read, do not fit the network, were told other classes, or are not those of `model.init_hash`.
    """
    model = config.model
    if model.init is None or config.checkpoint.resume is not None:
        return config, []
    given = find_given(config)
    weights = fitted(given, config)
    check_classes(given, config)
    check_hash(model.init, weights, model.init_hash)
    known = model.model_copy(update={"init_hash": weights.hash})
    return config.model_copy(update={"model": known}), notes_on(given, weights, config)


def find_given(config: Config) -> Given:
    """Read what `model.init` names: a run, or what `read_given` reads.

    Raises
    ------
    SettingError
        If it cannot be read; or if it is a run, and clients must read it too.
    """
    path = Path(str(config.model.init)).expanduser()
    if not (path / CONFIG).is_file():
        return read_given(str(config.model.init))
    if config.model.adapters.freezes:
        advice = (
            f"is a run, and with model.adapters.kind={config.model.adapters.kind} every client reads the weights too"
        )
        raise SettingError(KEY, path, f"{advice}; write them out (fedphd export {path} OUT) and give that folder")
    try:
        run, model = trained_model(path)
    except SettingError as error:
        raise SettingError(KEY, path, error.advice) from error
    options = run.model.model_dump(mode="json", by_alias=True)
    state, classes = merged(run, model).state_dict(), _classes(path, run.model.number_of_classes)
    return Given(str(path), state, options, None, run.diffusion.schedule, classes)


def _classes(run: Path, count: int | None) -> tuple[str, ...]:
    """Read the names of the classes that a run's model is told, where the run has told as many."""
    names = RunFolder(run).partition().get("class_names")
    return tuple(map(str, names)) if isinstance(names, list) and len(names) == count else ()

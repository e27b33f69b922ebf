"""`fedphd resume RUN`: the run's own settings, with those that are given in their place."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from fedphd.common.config import Config
from fedphd.common.errors import SettingError
from fedphd.common.run.run_folder import RunFolder
from fedphd.launch.known import groups
from fedphd.launch.refusals import hydra_explained
from fedphd.launch.resume import from_resumed, settings_of

KEY = "RUN"
PRIMARY = "resumed"  # Hydra's name of the configuration that is read from a run folder
ELSEWHERE = "fedphd resume goes on in the run's own folder; leave it out"
OF_ALL_GROUPS = ("method", "experiment", "model")  # whose files set what other groups have


def resumed(run: Path, overrides: Sequence[str]) -> Config:
    """Compose the configuration with which a run goes on.

    Parameters
    ----------
    run : Path
        The run folder.
    overrides : Sequence[str]
        Settings as on the command line; a group's choice takes the place of all that the run has in the group.

    Raises
    ------
    SettingError
        If there is no such run, a setting would make it another run or bring it elsewhere, it is over, or it has no
        checkpoint.
    FedPhDError
        If the overrides cannot be understood.
    """
    tree = settings_of(run, KEY).model_dump(mode="json", by_alias=True, exclude_unset=True)
    with hydra_explained(overrides):
        composed = _composed(tree, overrides)
    composed["checkpoint"] = _from_here(run, composed.get("checkpoint"), tree["checkpoint"])
    config = from_resumed(composed, KEY)
    assert config is not None
    _check_unfinished(run, config)
    if not RunFolder(run).checkpoint_rounds():
        raise SettingError(KEY, run, "has no checkpoint to go on with; wait for its first root round, or begin anew")
    return config


def _composed(tree: Mapping[str, Any], overrides: Sequence[str]) -> Any:
    """Let Hydra compose, with the run's settings as its primary configuration, in which no group is chosen yet."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    for one in parsed:
        _check_place(one)
    chosen = {one.key_or_group for one in parsed if _chooses(one)}
    words = [f"+{str(one.input_line).lstrip('+')}" if _chooses(one) else str(one.input_line) for one in parsed]
    own = {name: section for name, section in tree.items() if name not in chosen}
    ConfigStore.instance().store(PRIMARY, {"defaults": ["_self_"], **own})
    with hydra.initialize_config_module("fedphd.conf", version_base="1.3"):
        return OmegaConf.to_container(hydra.compose(PRIMARY, overrides=words), resolve=True)


def _chooses(override: Override) -> bool:
    """Whether an override chooses a group's part, as runtime=inprocess does."""
    group = override.key_or_group
    if group not in groups() or override.is_delete():
        return False
    if group in OF_ALL_GROUPS:
        advice = "cannot be chosen anew for a run that has begun; leave it out, or begin a new run"
        raise SettingError(group, override.value(), advice)
    return True


def _check_place(override: Override) -> None:
    """Refuse Hydra's own settings, which would have no effect: they say where a new run goes, and how it is logged."""
    key = override.key_or_group
    if key.startswith(("hydra.", "hydra/")) and key != "hydra.searchpath":
        raise SettingError(key, override.value(), ELSEWHERE)


def _from_here(run: Path, given: object, own: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options of checkpoints, with the run's own folder to go on from."""
    if not isinstance(given, dict):
        raise SettingError("checkpoint", given, "is a group of options; give one, as checkpoint.keep=5")
    if given.get("resume") not in (None, own.get("resume"), str(run)):
        raise SettingError("checkpoint.resume", given["resume"], ELSEWHERE)
    return {**given, "resume": str(run)}


def _check_unfinished(run: Path, config: Config) -> None:
    history = RunFolder(run).history()
    done = history.committed
    if history.state == "finished" and done >= config.rounds:
        more = f"for more, give rounds={2 * done}"
        if config.training.schedule != "constant":
            more = f"its learning rate has fallen to zero (training.schedule={config.training.schedule}), so begin anew"
        raise SettingError("rounds", config.rounds, f"this run has finished with round {done}; {more}")

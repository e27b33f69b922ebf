"""What `import fedphd` offers to Python programs; docs/python.md shows it at work.

Nothing that takes long is imported before it is needed.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedphd.common.errors import FedPhDError, SettingError

if TYPE_CHECKING:
    from fedphd.common.config import Config
    from fedphd.common.network import UNet

__all__ = ["FedPhDError", "Run", "SettingError", "compose", "load_model", "read_run", "train"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What a run folder holds, at the time when it was read.

    Attributes
    ----------
    path : Path
        The run folder.
    config : Config
        The run's configuration.
    metrics : tuple[dict[str, Any], ...]
        The measurements of each committed root round, in their order, beginning with round 0, the new model; a round
        that was repeated after a resume counts once.
    checkpoints : tuple[int, ...]
        The root rounds whose checkpoints are on disk.
    """

    path: Path
    config: "Config"
    metrics: tuple[dict[str, Any], ...]
    checkpoints: tuple[int, ...]


def compose(overrides: Sequence[str] = ()) -> "Config":
    """Compose a configuration from settings as they are given on the command line, and check it.

    Parameters
    ----------
    overrides : Sequence[str]
        Hydra overrides: ``group=choice``, ``group.key=value``. A folder of one's own YAML files is found with
        ``hydra.searchpath=[/path/to/folder]``.

    Returns
    -------
    Config
        The whole configuration; it cannot be changed.

    Raises
    ------
    SettingError
        If there is no such setting or choice, or a value cannot work.
    FedPhDError
        If the overrides cannot be understood.
    """
    from fedphd.launch.composing import compose

    return compose(overrides)


def train(config: "Config", folder: Path | str) -> Run:
    """Train in this process; clients take turns. The model is the one that the other runtimes train.

    Parameters
    ----------
    config : Config
        The configuration, composed with ``runtime=inprocess``. With ``checkpoint.resume``, the run in that folder
        goes on.
    folder : Path or str
        The run folder; made if needed.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    SettingError
        If the run cannot start with these settings, or the folder holds another run.
    FedPhDError
        If the run fails.
    """
    from fedphd.launch.preflight import make_ready
    from fedphd.launch.report import write_report
    from fedphd.launch.resume import from_resumed
    from fedphd.launch.runtimes import inprocess

    run_dir = Path(folder).expanduser().absolute()
    if config.runtime.name != "inprocess":
        raise SettingError("runtime", config.runtime.name, "is for the command; compose with runtime=inprocess")
    if config.checkpoint.resume not in (None, run_dir):
        raise SettingError("checkpoint.resume", config.checkpoint.resume, f"is another folder than {run_dir}")
    config = from_resumed(config.model_dump(mode="json", by_alias=True, exclude_unset=True)) or config
    config, notes = make_ready(config, run_dir)
    for note in notes:
        log.warning("%s", note)
    try:
        inprocess.run(config, run_dir)
    finally:
        write_report(run_dir)
    return read_run(run_dir)


def read_run(folder: Path | str) -> Run:
    """Read a run folder, also of a run that is going on.

    Raises
    ------
    SettingError
        If it is not a run folder, or its configuration cannot be used.
    """
    from fedphd.common.config import validate
    from fedphd.common.run.run_folder import RunFolder

    path = Path(folder).expanduser().absolute()
    run_folder = RunFolder(path)
    settings = run_folder.settings()
    if not settings:
        raise SettingError("folder", folder, "is not a run folder: it has no config.yaml that can be read")
    config = validate(settings)
    metrics = tuple(one.line for one in run_folder.history().metrics.values())
    return Run(path, config, metrics, tuple(run_folder.checkpoint_rounds()))


def load_model(folder: Path | str, round: int | None = None) -> "UNet":
    """Load the U-Net of a run, with the weights that were evaluated: the moving average where there is one.

    Parameters
    ----------
    folder : Path or str
        The run folder.
    round : int, optional
        The root round; by default that of the newest sound checkpoint.

    Returns
    -------
    UNet
        The network, on the CPU and in evaluation mode, pruned as it was by then.

    Raises
    ------
    SettingError
        If there is no such checkpoint, or the run has no global model because clients keep parts of their own.
    """
    from fedphd.server.pruning_schedule import merged
    from fedphd.server.trained import KEY, ROUND, trained_model

    try:
        config, model = trained_model(Path(folder).expanduser().absolute(), round=round)
    except SettingError as error:  # by the names of the parameters
        key = {KEY: "folder", ROUND: "round"}.get(error.key, error.key)
        raise SettingError(key, error.value, error.advice) from None
    return merged(config, model).eval()

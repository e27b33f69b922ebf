"""What a run has trained so far, read from its folder; the run may go on meanwhile."""

from pathlib import Path

from fedphd.common.config import Config, validate
from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.network.packing import PackedModel
from fedphd.common.run.run_folder import CHECKPOINTS, RunFolder
from fedphd.server import checkpoint
from fedphd.server.state import GlobalState

KEY, ROUND = "RUN", "--round"  # what errors begin with, as on the command line


def trained_model(run: Path, *, ema: bool = True, round: int | None = None) -> tuple[Config, PackedModel]:
    """Read a run's configuration and its global model.

    Parameters
    ----------
    run : Path
        The run folder.
    ema : bool
        Give the moving average, where the run has one, and not the latest aggregate.
    round : int, optional
        The root round; by default that of the newest sound checkpoint.

    Returns
    -------
    tuple[Config, PackedModel]
        The model is as narrow as it was pruned by then; `fedphd.server.pruning_schedule.load_unet` builds its network.

    Raises
    ------
    SettingError
        As `trained_state` does.
    """
    config, state = trained_state(run, round=round)
    return config, state.best if ema else state.model


def trained_state(run: Path, *, round: int | None = None) -> tuple[Config, GlobalState]:
    """Read a run's configuration and all that its root has kept; parameters as for `trained_model`.

    Raises
    ------
    SettingError
        If there is no such run or it was made by a version that differs too much, it has no sound checkpoint (yet), or
        it has no global model because its clients keep parts of their own.
    """
    config = _configuration(run)
    if config.exchange.keeps_parts:
        advice = f"its clients keep parts of their own (exchange={config.exchange.kind}), so there is no global model"
        raise SettingError(KEY, run, advice)
    try:
        return config, _state(run, round)
    except (KeyError, TypeError, ValueError) as error:  # what a state.json with other keys leads to
        raise SettingError(KEY, run, f"its checkpoints are not of this version of fedphd ({error!r})") from error


def _configuration(run: Path) -> Config:
    settings = RunFolder(run).settings()
    if not settings:
        what = "has no config.yaml that can be read" if run.is_dir() else "there is no such folder"
        raise SettingError(KEY, run, f"is not a run folder: {what}")
    try:
        return validate(settings)
    except FedPhDError as error:
        raise SettingError(KEY, run, f"its config.yaml does not fit this version of fedphd ({error})") from error


def _state(run: Path, number: int | None) -> GlobalState:
    folder, there = run / CHECKPOINTS, RunFolder(run).checkpoint_rounds()
    if not there:
        raise SettingError(KEY, run, "has no checkpoint yet; wait for its first root round, or give another run")
    if number is None:
        newest = checkpoint.newest(folder)
        if newest is None:
            raise SettingError(KEY, run, f"its checkpoints are damaged, those of rounds {_listed(there)}")
        return newest
    if number not in there:
        advice = f"there is no checkpoint of this round in {run}; of rounds: {_listed(there)}"
        raise SettingError(ROUND, number, advice)
    try:
        return checkpoint.load_round(folder, number)
    except checkpoint.DamagedCheckpointError as error:
        raise SettingError(ROUND, number, f"its checkpoint is damaged: {error}") from None


def _listed(rounds: list[int]) -> str:
    return ", ".join(map(str, rounds))

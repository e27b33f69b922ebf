"""Training from the command line: Hydra composes, the runtime trains, the run folder tells."""

import os
import shlex
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from fedphd.common.config import Config, validate
from fedphd.common.errors import SettingError
from fedphd.common.run.run_folder import RunFolder
from fedphd.launch.ending import in_one_line
from fedphd.launch.left_out import left_out
from fedphd.launch.refusals import hydra_explained
from fedphd.launch.resume import from_resumed


def train(words: Sequence[str]) -> None:
    """Train as the command line says, which Hydra reads itself.

    Parameters
    ----------
    words : Sequence[str]
        The command line after ``fedphd``, for errors.

    Raises
    ------
    SettingError, UsageError
        If the configuration cannot be composed.
    SystemExit
        If the run fails or is interrupted.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed with hints for developers
    with hydra_explained(words):
        _run()


@hydra.main(version_base="1.3", config_path="pkg://fedphd.conf", config_name="config")
def _run(composed: DictConfig) -> None:
    """Train as composed; an error of the user's ends the process here, before Hydra prints it in its own way."""
    run_dir = Path(HydraConfig.get().runtime.output_dir).absolute()
    with in_one_line():
        try:
            _start(composed, run_dir)
        except (SettingError, KeyboardInterrupt):
            _remove_if_empty(run_dir)
            raise


def _start(composed: DictConfig, run_dir: Path) -> None:
    tree: Any = OmegaConf.to_container(composed, resolve=True)
    config = from_resumed(tree) or validate(tree)
    if config.checkpoint.resume is not None:
        _remove_if_empty(run_dir)  # Hydra's for a new run
        run_dir = config.checkpoint.resume
    train_to_the_end(config, run_dir, left_out(tree, config))


def train_to_the_end(config: Config, run_dir: Path, unused: Sequence[str] = ()) -> None:
    """Train a checked configuration, and write the report.

    Parameters
    ----------
    config : Config
        What `validate` made of the settings.
    run_dir : Path
        The run folder.
    unused : Sequence[str], optional
        What to tell of settings that have no effect.

    Raises
    ------
    KeyboardInterrupt
        If it is interrupted; its text says how to go on.
    FedPhDError
        If the run cannot start, or fails.
    """
    try:
        _train(config, run_dir, unused)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(run_dir)) from None


def _how_to_go_on(run_dir: Path) -> str:
    if not RunFolder(run_dir).checkpoint_rounds():
        return "there is no checkpoint to go on with yet"
    return f"go on with fedphd resume {shlex.quote(str(run_dir))}"


def _train(config: Config, run_dir: Path, unused: Sequence[str]) -> None:
    from fedphd.launch.found import found
    from fedphd.launch.preflight import make_ready
    from fedphd.launch.report import write_report
    from fedphd.launch.watch.display import Display

    runtime = _method("runtime._target_", config.runtime.target)
    config, notes = make_ready(config, run_dir)
    console = Console(highlight=False)
    console.print(f"images     {found(config, run_dir)}", soft_wrap=True, markup=False)
    console.print(f"run folder {run_dir}", soft_wrap=True, markup=False)
    for note in [*unused, *notes]:
        console.print(f"note       {note}", soft_wrap=True, markup=False)
    try:
        with Display(run_dir, console, rounds=config.rounds):
            runtime(config, run_dir)
    finally:
        console.print(f"report     {write_report(run_dir)}", soft_wrap=True, markup=False)


def _method(key: str, path: str) -> Callable[[Config, Path], None]:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(
            key, path, f"cannot be imported ({error}); use runtime=ray, inprocess, processes or deployment"
        ) from error


def _remove_if_empty(folder: Path) -> None:
    """Remove the run folder that Hydra made for a run that will not be."""
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()

"""The `fedphd` command: Hydra composes, the runtime trains, the run folder tells."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from common.config import Config, from_yaml, validate
from common.errors import FedPhDError, SettingError
from common.launch.preflight import check
from common.progress import Progress
from common.run_dir import refuse_used, sole_writer

BAD_SETTING, FAILED, INTERRUPTED = 2, 1, 130  # exit codes

# What a resumed run may change without becoming another run.
FREE_ON_RESUME = {"checkpoint", "evaluation", "rounds", "runtime", "tracking"}


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def run(composed: DictConfig) -> None:
    """Train as the composed configuration says; an error of the user's ends the process with one line."""
    run_dir = Path(HydraConfig.get().runtime.output_dir).absolute()
    try:
        _run(composed, run_dir)
    except SettingError as error:
        _remove_if_empty(run_dir)
        _fail(str(error), BAD_SETTING)
    except FedPhDError as error:
        _fail(str(error), FAILED)


def _run(composed: DictConfig, run_dir: Path) -> None:
    config = validate(OmegaConf.to_container(composed, resolve=True))
    notes = check(config)
    if config.checkpoint.resume is None:
        refuse_used(run_dir)
    else:
        run_dir = _resumed_folder(config, config.checkpoint.resume)
        with sole_writer(run_dir):
            pass  # free: the root's process takes the lock itself, since it may outlive this one
    run_dir.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    console.print(f"run folder {run_dir}", soft_wrap=True)
    for note in notes:
        console.print(f"note       {note}", soft_wrap=True)
    train = get_method(config.runtime.target)
    write_report = get_method("server.report.write_report")
    try:
        with Progress(run_dir, console):
            train(config, run_dir)
    finally:
        console.print(f"report     {write_report(run_dir)}", soft_wrap=True)


def main() -> None:
    """Run the command; what Hydra refuses, and an interruption, end in one line too."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed with hints for developers
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run()
    except (HydraException, OmegaConfBaseException) as error:
        _fail(_explain(error), BAD_SETTING)
    except KeyboardInterrupt:
        _fail("interrupted; go on with checkpoint.resume=<the run folder>", INTERRUPTED)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Let SIGTERM end the run as Ctrl-C does, so that the processes that were started end too."""
    raise KeyboardInterrupt


def _fail(text: str, code: int) -> NoReturn:
    print(f"fedphd: {text}", file=sys.stderr)
    sys.exit(code)


def _explain(error: Exception) -> str:
    """Say in one line what Hydra says in several."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return f"{group}={choice}: there is no such choice; use one of {', '.join(error.options)}"
    cause = error.__cause__ if error.__cause__ is not None else error
    return " ".join(str(line).strip() for line in (str(error).splitlines() or [str(cause)])[:2])


def _resumed_folder(config: Config, folder: Path) -> Path:
    """Go on in the folder of the run that is resumed, if it is the same run.

    Raises
    ------
    SettingError
        If there is no such run, or a setting differs that would make it another run.
    """
    file = folder / "config.yaml"
    if not file.exists():
        raise SettingError("checkpoint.resume", folder, "is not a run folder: it has no config.yaml")
    before, now = from_yaml(file.read_text(encoding="utf-8")).model_dump(), config.model_dump()
    for key in sorted(now.keys() - FREE_ON_RESUME):
        if before[key] != now[key]:
            raise SettingError(key, now[key], f"the run to resume has {before[key]}; give the same settings again")
    return folder


def _remove_if_empty(folder: Path) -> None:
    """Remove the run folder that Hydra made for a run that will not be."""
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()

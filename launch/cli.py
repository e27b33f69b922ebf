"""The `fedphd` command: Hydra composes, the runtime trains, the run folder tells.

Its first word may name another command instead (launch/commands.py).
"""

import os
import re
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from fedphd.common.config import Config, validate
from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.run.run_dir import refuse_used, sole_writer
from fedphd.launch.commands import COMMANDS
from fedphd.launch.preflight import check
from fedphd.launch.report import write_report
from fedphd.launch.resume import from_resumed
from fedphd.launch.watch.progress import Progress
from fedphd.server.recorder import check_outlets

BAD_SETTING, FAILED, INTERRUPTED = 2, 1, 130  # exit codes


@hydra.main(version_base="1.3", config_path="pkg://fedphd.conf", config_name="config")
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
    tree = OmegaConf.to_container(composed, resolve=True)
    config = from_resumed(tree) or validate(tree)
    notes = check(config)
    if config.checkpoint.resume is None:
        refuse_used(run_dir)
    else:
        _remove_if_empty(run_dir)  # Hydra's for a new run
        run_dir = config.checkpoint.resume
        with sole_writer(run_dir):
            pass  # free: the root's process takes the lock itself, since it may outlive this one
    train = _method("runtime._target_", config.runtime.target)
    config = check_outlets(config, run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    console.print(f"run folder {run_dir}", soft_wrap=True)
    for note in notes:
        console.print(f"note       {note}", soft_wrap=True)
    try:
        with Progress(run_dir, console):
            train(config, run_dir)
    finally:
        console.print(f"report     {write_report(run_dir)}", soft_wrap=True)


def _method(key: str, path: str) -> Callable[[Config, Path], None]:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(
            key, path, f"cannot be imported ({error}); use runtime=ray, inprocess, processes or deployment"
        ) from error


def main() -> None:
    """Run the command; what Hydra refuses, and an interruption, end in one line too."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed with hints for developers
    signal.signal(signal.SIGTERM, _interrupt)
    command = COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        run() if command is None else command(sys.argv[2:])
    except SettingError as error:
        _fail(str(error), BAD_SETTING)
    except FedPhDError as error:
        _fail(str(error), FAILED)
    except (HydraException, OmegaConfBaseException) as error:
        _fail(_explain(error), BAD_SETTING)
    except ValueError as error:
        if "Config group override" not in str(error):  # Hydra's, of no class of its own
            raise
        _fail(_explain(error), BAD_SETTING)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", FAILED)
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
    if unknown := re.search(r"Could not override '([\w.]+)'", str(error)):
        group = unknown[1].partition(".")[0]
        return f"{unknown[1]}: there is no such option where it stands; see conf/{group}/, or choose another {group}="
    if "Ambiguous value" in str(error):
        return "several choices need a sweep: fedphd -m group=one,other"
    if "Config group override" in str(error):
        valued = [word for word in sys.argv[1:] if re.fullmatch(r"\w+=(null|true|false|[\d.]+)", word, re.IGNORECASE)]
        return f"{' '.join(valued)}: a group takes one of its choices by name, as exchange=full does, and not a value"
    cause = error.__cause__ if error.__cause__ is not None else error
    return " ".join(str(line).strip() for line in (str(error).splitlines() or [str(cause)])[:2])


def _remove_if_empty(folder: Path) -> None:
    """Remove the run folder that Hydra made for a run that will not be."""
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()

"""Long-running Flower processes on this machine: started, watched, started again, ended together."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from fedphd.common.errors import FedPhDError
from fedphd.common.flower.home import FlowerHome, tool
from fedphd.launch.runtimes.sweep import guard, sweep

RESTART_AFTER = 3.0  # seconds; a killed node is refused until its SuperLink has missed it


@dataclass(frozen=True)
class Program:
    """A process to keep running.

    Attributes
    ----------
    name : str
        What it is called in messages, and its log.
    command : Sequence[str]
        Its command, the tool's bare name first.
    restart : bool
        Whether it is started again when it ends; else its end is an error.
    environment : Mapping[str, str]
        More environment variables.
    """

    name: str
    command: Sequence[str]
    restart: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    ended: float | None = None


class Supervisor:
    """Keeps programs running until the `with` block ends, and ends them even if this process is killed.

    Parameters
    ----------
    folder : Path
        Takes a FLWR_HOME for each program.
    logs : Path
        Takes each program's output, ``<name>.log``.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder = folder
        self.logs = logs
        self._running: dict[str, _Running] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self._guard = guard(self.folder)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        sweep(self.folder)
        if self._guard is not None:
            self._guard.communicate()

    def start(self, program: Program) -> None:
        """Start a program."""
        home = FlowerHome(self.folder / "homes" / program.name)
        home.folder.mkdir(parents=True, exist_ok=True)
        command = [tool(program.command[0]), *program.command[1:]]
        with self.log(program.name).open("ab") as output:
            process = subprocess.Popen(
                command,
                env={**home.environment, **program.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running[program.name] = _Running(program, process)

    def watch(self) -> None:
        """Start again what has ended.

        Raises
        ------
        FedPhDError
            If a program has ended that is not to be started again.
        """
        for name, one in list(self._running.items()):
            code = one.process.poll()
            if code is None:
                continue
            if not one.program.restart:
                raise FedPhDError(f"{name} ended with exit code {code}; see {self.log(name)}")
            one.ended = one.ended or time.monotonic()
            if time.monotonic() - one.ended > RESTART_AFTER:
                self._note(name, f"ended with exit code {code}; starting it again")
                self.start(one.program)

    def pid(self, name: str) -> int:
        """Process id of a program."""
        return self._running[name].process.pid

    def log(self, name: str) -> Path:
        """Name the file that takes a program's output."""
        return self.logs / f"{name}.log"

    def _note(self, name: str, text: str) -> None:
        with self.log(name).open("a", encoding="utf-8") as log:
            log.write(f"fedphd: {name} {text}\n")

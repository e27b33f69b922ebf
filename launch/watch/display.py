"""The progress display: live bars on a terminal, one line per root round and tier everywhere."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from fedphd.common.run.run_folder import RunFolder
from fedphd.launch.watch.notices import WARNING, Line
from fedphd.launch.watch.preparation import IMAGES, MODELS
from fedphd.launch.watch.state import RunState

POLL = 0.25  # seconds between two looks at the files


class Display:
    """Shows a run's progress from its run folder; a `with` block does so in a thread of its own.

    Make it before the run starts: what the files already hold, from before a resume, is taken in
    but not printed again.

    Parameters
    ----------
    run_dir : Path
        The run folder.
    console : Console
        Where to print; live bars appear only if it is a terminal.
    quiet : bool
        Print refused and lost updates only.
    rounds : int
        Root rounds in all, for what is shown before the ledger says so.
    """

    def __init__(self, run_dir: Path, console: Console, quiet: bool = False, rounds: int = 0) -> None:
        self.console = console
        self.quiet = quiet
        self.state = RunState(configured=rounds)
        self._reader = RunFolder(run_dir).reader()
        self._bars = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[info]}", markup=False),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.watch, args=(self._stop,), name="progress", daemon=True)
        self._read()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def watch(self, stop: threading.Event) -> None:
        """Show what happens until `stop` is set, and what has happened by then."""
        with self._bars:
            while not stop.wait(POLL):
                self.update()
            self.update()

    def update(self) -> None:
        """Look at the files once: print the new lines and move the bars."""
        for text, style in self._read():
            if style == WARNING or not self.quiet:
                self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        preparation = self.state.preparation.bars if self.state.preparation else {}
        for name in (MODELS, IMAGES):
            if name in preparation:
                self._move(name, *preparation[name])
            elif name in self._tasks:
                self._bars.remove_task(self._tasks.pop(name))
        self._move("root", self.state.round, self.state.rounds, self.state.info)
        for name, edge in self.state.edges.items():
            self._move(name, edge.done, len(edge.plan), edge.info)

    def _read(self) -> list[Line]:
        """Take in what is new."""
        return [line for told in self._reader.read() for line in self.state.take(told)]

    def _move(self, name: str, done: int, total: int, info: str) -> None:
        if name in self._tasks:
            self._bars.update(self._tasks[name], completed=done, total=total or None, info=info)
        else:
            self._tasks[name] = self._bars.add_task(name, completed=done, total=total or None, info=info)

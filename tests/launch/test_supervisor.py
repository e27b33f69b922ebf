"""Real processes: started, started again, and ended whatever becomes of the one who started them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import fedphd.launch.runtimes.supervisor
import fedphd.launch.runtimes.sweep
from fedphd.common.errors import FedPhDError
from fedphd.launch.runtimes.supervisor import Program, Supervisor
from fedphd.launch.runtimes.sweep import sweep

PATIENCE = 60.0  # seconds; only a failing test waits for so long
SLEEP = "import time; time.sleep(300)"


def until(happened: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if happened():
            return
        pause.wait(0.02)
    pytest.fail("it did not happen")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.launch.runtimes.supervisor, "RESTART_AFTER", 0.01)
    monkeypatch.setattr(fedphd.launch.runtimes.sweep, "PATIENCE", 0.5)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "deployment", tmp_path / "logs") as one:
        yield one


def python(name: str, code: str, **more: object) -> Program:
    return Program(name, ["python", "-c", code], **more)


def notes(file: Path) -> Callable[[], list[str]]:
    return lambda: file.read_text().splitlines() if file.exists() else []


class Process:
    """What a process was when it was looked at."""

    def __init__(self, pid: int) -> None:
        one = psutil.Process(pid)
        self.pid, self.cmdline, self.environ = pid, one.cmdline(), one.environ()


def until_up(supervisor: Supervisor, times: int) -> Process:
    """Wait until the program has said so many times that it is up."""
    until(lambda: supervisor.watch() or supervisor.log("node").read_text().count("up\n") == times)
    return Process(supervisor.pid("node"))


def test_each_program_has_a_log_and_a_home_of_its_own(supervisor: Supervisor) -> None:
    code = "import os, sys; print(os.environ['FLWR_HOME'], os.environ['EXTRA']); print('trouble', file=sys.stderr)"
    for name in ("a", "b"):
        supervisor.start(python(name, code, environment={"EXTRA": f"of {name}"}))
        home = supervisor.folder / "homes" / name
        written = notes(supervisor.log(name))
        until(lambda: len(written()) == 2)  # noqa: B023 - called at once
        assert set(written()) == {f"{home} of {name}", "trouble"}
        assert home.is_dir()


def test_what_ends_is_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    starts = notes(tmp_path / "starts")
    code = f"import os, sys; open({str(tmp_path / 'starts')!r}, 'a').write(f'{{os.getpid()}}\\n'); sys.exit(3)"
    supervisor.start(python("node", code))
    until(lambda: supervisor.watch() or len(starts()) >= 3)
    assert len(set(starts())) == len(starts())
    assert "fedphd: node ended with exit code 3; starting it again" in supervisor.log("node").read_text()


def test_what_is_killed_is_started_again_with_the_same_command(supervisor: Supervisor) -> None:
    supervisor.start(python("node", f"print('up', flush=True); {SLEEP}", environment={"EXTRA": "kept"}))
    first = until_up(supervisor, 1)
    os.kill(first.pid, signal.SIGKILL)
    again = until_up(supervisor, 2)
    assert again.pid != first.pid
    assert (again.cmdline, again.environ["EXTRA"]) == (first.cmdline, "kept")
    assert "ended with exit code -9" in supervisor.log("node").read_text()


def test_what_lives_is_left_alone(supervisor: Supervisor) -> None:
    supervisor.start(python("node", SLEEP))
    first = supervisor.pid("node")
    for _ in range(10):
        supervisor.watch()
    assert supervisor.pid("node") == first
    assert supervisor.log("node").read_text() == ""


def test_the_end_of_what_must_not_end_is_an_error(supervisor: Supervisor) -> None:
    supervisor.start(python("flower", "import sys; sys.exit(3)", restart=False))
    with pytest.raises(FedPhDError, match=f"flower ended with exit code 3; see {supervisor.log('flower')}"):
        until(supervisor.watch)


# --- the end ----------------------------------------------------------------------------------------

# A program that is deaf to SIGTERM, and starts another one in a session of its own, as Flower's processes do.
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {DEAF!r}], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(300)
"""


def started(supervisor: Supervisor) -> list[int]:
    """Start a program with a child; give both process ids."""
    supervisor.start(python("node", PARENT))
    until(lambda: supervisor.log("node").read_text().endswith("\n"))
    return [supervisor.pid("node"), int(supervisor.log("node").read_text())]


def test_all_processes_end_with_the_block(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "deployment", tmp_path / "logs") as one:
        pids = started(one)
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)


def test_all_processes_end_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Supervisor(tmp_path / "deployment", tmp_path / "logs") as one:
        pids = started(one)
        raise KeyboardInterrupt
    assert not any(alive(pid) for pid in pids)


def test_children_of_a_killed_program_end_too(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "deployment", tmp_path / "logs") as one:
        pids = started(one)
        os.kill(pids[0], signal.SIGKILL)
    assert not any(alive(pid) for pid in pids)


COMMAND = f"""
import pathlib, sys, time
from fedphd.launch.runtimes.supervisor import Program, Supervisor
folder = pathlib.Path(sys.argv[1])
with Supervisor(folder / "deployment", folder / "logs") as supervisor:
    supervisor.start(Program("node", ["python", "-c", {PARENT!r}]))
    while not supervisor.log("node").read_text().endswith("\\n"):
        time.sleep(0.02)
    print(supervisor.pid("node"), supervisor.log("node").read_text(), flush=True)
    time.sleep(300)
"""


def test_all_processes_end_when_the_command_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", COMMAND, str(tmp_path)], stdout=subprocess.PIPE, text=True) as command:
        pids = [int(pid) for pid in command.stdout.readline().split()]
        assert len(pids) == 2 and all(alive(pid) for pid in pids)
        os.kill(command.pid, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids))


def test_only_what_belongs_to_the_folder_is_swept(tmp_path: Path) -> None:
    homes = [tmp_path / "run" / "homes" / "a", tmp_path / "run", tmp_path / "run2" / "homes" / "a", None]
    processes = []
    for home in homes:
        environment = {key: value for key, value in os.environ.items() if key != "FLWR_HOME"}
        environment |= {} if home is None else {"FLWR_HOME": str(home)}
        processes.append(subprocess.Popen([sys.executable, "-c", SLEEP], env=environment))
    try:
        until(lambda: all(psutil.Process(one.pid).environ() for one in processes))
        sweep(tmp_path / "run")
        assert [alive(one.pid) for one in processes] == [False, False, True, True]
    finally:
        for one in processes:
            one.kill()
            one.wait()


def test_sweeping_an_empty_folder_ends_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as bystander:
        sweep(tmp_path / "nothing")
        assert alive(bystander.pid)
        bystander.kill()

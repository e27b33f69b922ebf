"""Taking turns: between threads, between processes, and with one that was killed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import fedphd.client.turns
from fedphd.client.turns import turn

PROGRAM = """
import pathlib, sys
from fedphd.client.turns import turn
with turn(pathlib.Path(sys.argv[1]), int(sys.argv[2])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.client.turns, "POLL", 0.005)


class Training:
    """Threads that train, each as long as the test says; counts those who do at the same time."""

    def __init__(self, folder: Path, turns: int) -> None:
        self.folder, self.turns = folder, turns
        self.at_work = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with turn(self.folder, self.turns):
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            self.at_work.release()
            assert self.let_go.acquire(timeout=60)
            with self._lock:
                self.now -= 1


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_no_more_train_at_once_than_there_are_turns(tmp_path: Path, turns: int) -> None:
    training = Training(tmp_path / "turns", turns)
    threads = [threading.Thread(target=training) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(turns):
        assert training.at_work.acquire(timeout=60)  # so many come in together ...
    for _ in threads:
        training.let_go.release()  # ... and the others when one of them goes
    for thread in threads:
        thread.join()
    assert training.most == turns


def test_a_turn_is_given_back_by_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="no images"), turn(tmp_path, 1):
            raise ValueError("no images")


def process(folder: Path, turns: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(turns)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_take_turns_and_a_killed_one_has_lost_its_own(tmp_path: Path) -> None:
    came_in = threading.Event()

    def wait() -> None:
        with turn(tmp_path, 1):
            came_in.set()

    with process(tmp_path) as other:
        assert other.stdout.readline() == "mine\n"
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not came_in.wait(0.1)
        os.kill(other.pid, signal.SIGKILL)
        assert came_in.wait(60)
        waiting.join()


def test_whoever_waited_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "fedphd.client.turns")
    with process(tmp_path) as other:
        assert other.stdout.readline() == "mine\n"
        threading.Timer(0.1, other.stdin.close).start()
        with turn(tmp_path, 1):
            pass
    assert "for a turn to train" in caplog.text
    caplog.clear()
    with turn(tmp_path, 1):
        pass
    assert caplog.text == ""

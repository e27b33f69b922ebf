"""Flower's command line tools as processes: a SuperLink of our own, and runs submitted to it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import tomli_w

from common.errors import FedPhDError

START_TIMEOUT = 60.0  # seconds for a SuperLink to answer
END_TIMEOUT = 30.0  # seconds for a run to be marked as ended
PATIENCE = 5.0  # seconds for processes to end by themselves
CONNECTION = "fedphd"  # our name for the connection in Flower's config.toml

ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # Else Flower would install the app's dependencies anew for every run.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class FlowerHome:
    """A folder for one Flower process: its FLWR_HOME, and what we write for it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The process environment: the caller's, with Flower kept to itself."""
        # Flower's processes find each other's commands by PATH.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, **ENVIRONMENT, "FLWR_HOME": str(self.folder), "PATH": path}

    def connect_to(self, address: str) -> None:
        """Write the connection to a SuperLink on loopback into Flower's config.toml."""
        superlink = {"default": CONNECTION, CONNECTION: {"address": address, "insecure": True}}
        (self.folder / "config.toml").write_text(tomli_w.dumps({"superlink": superlink}), encoding="utf-8")

    def thin_app(self, serverapp: str, clientapp: str) -> Path:
        """Write a Flower app that holds nothing but names: its code is the installed package."""
        folder = self.folder / "app"
        folder.mkdir(exist_ok=True)
        components = {"serverapp": serverapp, "clientapp": clientapp}
        keys = {"hydra-config": "", "hydra-overrides": "", "run-dir": ""}
        flower = {"app": {"publisher": "fedphd", "components": components, "config": keys}}
        project = {"name": "fedphd-app", "version": "0.1.0", "dependencies": ["flwr>=1.41.0"]}
        (folder / "pyproject.toml").write_text(tomli_w.dumps({"project": project, "tool": {"flwr": flower}}))
        return folder


class SuperLink:
    """A SuperLink on a free loopback port, with all that it starts; ends with the `with` block.

    Parameters
    ----------
    home : FlowerHome
        Its home.
    options : Sequence[str]
        More options of ``flower-superlink``.
    log : Path
        Takes the output of all its processes.
    """

    def __init__(self, home: FlowerHome, options: Sequence[str], log: Path) -> None:
        self.home = home
        self.log = log
        self.address = f"127.0.0.1:{_free_port()}"
        host, port = self.address.split(":")
        self._command = [_tool("flower-superlink"), "--insecure", "--host", host, "--port", port, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.home.connect_to(self.address)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self.home.environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            self._await_health()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop()

    def submit(self, app: Path, run_config: Mapping[str, str], federation_config: Mapping[str, int | float]) -> str:
        """Submit a run, as `flwr run` does.

        Returns
        -------
        str
            Flower's run id.
        """
        run_toml = self.home.folder / "run.toml"
        run_toml.write_text(tomli_w.dumps(dict(run_config), multiline_strings=True), encoding="utf-8")
        federation = " ".join(f"{key}={value}" for key, value in federation_config.items())
        options = ["--run-config", str(run_toml), "--federation-config", federation]
        answer = self._flwr("run", str(app), CONNECTION, *options)
        return str(answer["run-id"])

    def status(self, run_id: str) -> str:
        """Ask for Flower's status of a run, e.g. ``running`` or ``finished:completed``."""
        answer = self._flwr("ls", CONNECTION, "--run-id", run_id)
        return str(answer["runs"][0]["status"])

    def wait_until_ended(self, run_id: str) -> None:
        """Wait until Flower has marked a run as ended, so that its processes close in order."""
        deadline = time.monotonic() + END_TIMEOUT
        while not self.status(run_id).startswith("finished") and time.monotonic() < deadline:
            time.sleep(0.2)

    def check_alive(self) -> None:
        """Raise FedPhDError if the SuperLink's process has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise FedPhDError(f"flower-superlink ended with exit code {self._process.returncode}; see {self.log}")

    def _await_health(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                with urlopen(f"http://{self.address}/health", timeout=1):
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        raise FedPhDError(f"flower-superlink did not answer within {START_TIMEOUT:g} s; see {self.log}")

    def _flwr(self, *arguments: str) -> dict[str, list[dict[str, object]]]:
        command = [_tool("flwr"), *arguments, "--format", "json"]
        done = subprocess.run(command, env=self.home.environment, capture_output=True, text=True, check=False)
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            answer = {"success": False, "error-message": done.stderr or done.stdout}
        if done.returncode or not answer.get("success", True):
            raise FedPhDError(f"flwr {arguments[0]}: {str(answer.get('error-message', '')).strip()}; see {self.log}")
        return answer  # type: ignore[no-any-return]

    def _stop(self) -> None:
        """End the SuperLink and all that it started, also what runs in sessions of its own: ask first, then insist."""
        if self._process is None:
            return
        family = _family(self._process.pid)
        self._process.terminate()
        _, left = psutil.wait_procs(family, timeout=PATIENCE)
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    end(process)
            _, left = psutil.wait_procs(left, timeout=PATIENCE)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def flower_home(folder: Path) -> FlowerHome:
    """Make a Flower home in an existing folder."""
    home = folder / "flwr"
    home.mkdir()
    return FlowerHome(home)


def _tool(name: str) -> str:
    """Find a command line tool beside the running Python."""
    return str(Path(sys.executable).parent / name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

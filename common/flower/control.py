"""A SuperLink's Control API, by Flower's own command `flwr`: submit and list runs, register and list nodes."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from fedphd.common.errors import FedPhDError
from fedphd.common.flower.home import CONNECTION, FlowerHome, tool

KNOWN = "already"  # in Flower's error about a public key that it has


class ControlError(FedPhDError):
    """The SuperLink cannot be reached, or refuses."""


class Control:
    """Commands to the SuperLink that a Flower home connects to.

    Parameters
    ----------
    home : FlowerHome
        With its connection written.
    """

    def __init__(self, home: FlowerHome) -> None:
        self.home = home

    def submit(
        self, app: Path, run_config: Mapping[str, str], federation_config: Mapping[str, int | float] | None = None
    ) -> str:
        """Submit a run; return Flower's run id.

        Raises
        ------
        ControlError
            If it is not accepted.
        """
        run_toml = self.home.folder / "run.toml"
        run_toml.write_text(tomli_w.dumps(dict(run_config), multiline_strings=True), encoding="utf-8")
        options = ["--run-config", str(run_toml)]
        if federation_config:
            options += ["--federation-config", " ".join(f"{key}={value}" for key, value in federation_config.items())]
        return str(self._flwr("run", str(app), CONNECTION, *options)["run-id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """Give what Flower tells about a run, e.g. its ``status``, ``running`` or ``finished:completed``."""
        run: dict[str, Any] = self._flwr("ls", CONNECTION, "--run-id", run_id)["runs"][0]
        return run

    def runs(self) -> list[dict[str, Any]]:
        """List all runs, the newest first."""
        runs: list[dict[str, Any]] = self._flwr("ls", CONNECTION)["runs"]
        return runs

    def register(self, public_key: Path, name: str) -> str | None:
        """Register a node's public key; return the node's id, or None if the key is registered already."""
        try:
            answer = self._flwr("supernode", "register", str(public_key), CONNECTION, "--name", name)
        except ControlError as error:
            if KNOWN in str(error):
                return None
            raise
        return str(answer["node-id"])

    def nodes(self) -> list[dict[str, Any]]:
        """List the nodes: ``node-id``, ``status`` and when each came and went."""
        nodes: list[dict[str, Any]] = self._flwr("supernode", "list", CONNECTION)["nodes"]
        return nodes

    def _flwr(self, *arguments: str) -> dict[str, Any]:
        command = [tool("flwr"), *arguments, "--format", "json"]
        done = subprocess.run(command, env=self.home.environment, capture_output=True, text=True, check=False)
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            answer = {"success": False, "error-message": done.stderr or done.stdout}
        if done.returncode or not answer.get("success", True):
            raise ControlError(f"flwr {arguments[0]}: {str(answer.get('error-message', '')).strip()}")
        return answer  # type: ignore[no-any-return]

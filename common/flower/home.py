"""A folder for one Flower process: its FLWR_HOME, its connection, and the thin apps that it submits."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tomli_w

CONNECTION = "fedphd"  # our name for the connection in Flower's config.toml

ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    # Else Flower would install the app's dependencies anew for every run.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",  # seconds; Flower's own is 1
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class FlowerHome:
    """A folder of Flower's, made when it is first needed."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The process environment: the caller's, with Flower kept to itself."""
        # Flower's processes find each other's commands by PATH.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, **ENVIRONMENT, "FLWR_HOME": str(self.folder), "PATH": path}

    def connect_to(self, address: str, root_certificates: Path | None = None) -> None:
        """Write the connection to a SuperLink into Flower's config.toml; without certificates it is not secured."""
        trust = {"insecure": True} if root_certificates is None else {"root-certificates": str(root_certificates)}
        self.folder.mkdir(parents=True, exist_ok=True)
        superlink = {"default": CONNECTION, CONNECTION: {"address": address, **trust}}
        (self.folder / "config.toml").write_text(tomli_w.dumps({"superlink": superlink}), encoding="utf-8")

    def thin_app(self, name: str, serverapp: str, clientapp: str, keys: Iterable[str]) -> Path:
        """Write a Flower app that holds nothing but names: its code is the installed package.

        Parameters
        ----------
        name : str
            The app's name.
        serverapp, clientapp : str
            Import paths, ``module:attribute``.
        keys : Iterable[str]
            Keys of its run config; all of them hold text.
        """
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        components = {"serverapp": serverapp, "clientapp": clientapp}
        flower = {"app": {"publisher": "fedphd", "components": components, "config": dict.fromkeys(keys, "")}}
        project = {"name": name, "version": "0.1.0", "dependencies": ["flwr>=1.41.0"]}
        (folder / "pyproject.toml").write_text(tomli_w.dumps({"project": project, "tool": {"flwr": flower}}))
        return folder


def tool(name: str) -> str:
    """Find a command line tool beside the running Python."""
    return str(Path(sys.executable).parent / name)

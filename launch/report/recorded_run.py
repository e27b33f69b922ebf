"""A run as its report sees it: all that its folder holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedphd.common.run.figures import HOPS
from fedphd.common.run.history import History
from fedphd.common.run.metrics import Metrics
from fedphd.common.run.run_folder import RunFolder


@dataclass(frozen=True)
class RecordedRun:
    """A run, whatever state it is in.

    Attributes
    ----------
    config : dict
        The composed configuration as a plain tree. It is not checked again, since a report may be
        made where the run's data are not.
    class_names : list[str]
        Names of the classes.
    counts : dict[str, NDArray[float64]]
        Label counts of each client, shape (classes,); fractional under privacy noise.
    homes : dict[str, list[str]]
        The edges that each client can reach.
    history : History
        What the ledger and the metrics tell, without what a resume took back.
    holdings : dict[str, dict]
        What was found of images before the start, by holder: `images`, `classes`, `shape` and `notes`.
    grids : dict[int, bytes]
        Sample grids as PNG files by root round, in their order.
    nearest : bytes or None
        Generated images beside the training images nearest to them, as a PNG file, where these are the root's own.
    """

    config: dict[str, Any]
    class_names: list[str]
    counts: dict[str, NDArray[np.float64]]
    homes: dict[str, list[str]]
    history: History
    holdings: dict[str, dict[str, Any]]
    grids: dict[int, bytes]
    nearest: bytes | None = None

    @classmethod
    def read(cls, run_dir: Path) -> "RecordedRun":
        """Read the folder `run_dir`."""
        folder = RunFolder(run_dir)
        try:
            names, counts, homes = _partition(folder.partition())
        except (AttributeError, KeyError, TypeError, ValueError):  # damaged: told as what is missing
            names, counts, homes = [], {}, {}
        return cls(
            config=folder.settings(),
            class_names=names,
            counts=counts,
            homes=homes,
            history=folder.history(),
            holdings=folder.holdings(),
            grids=folder.grids(),
            nearest=folder.nearest(),
        )

    def setting(self, key: str, default: object = "unknown") -> Any:
        """Look up a setting by its dotted name."""
        value: Any = self.config
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value

    @property
    def status(self) -> str:
        """Say where the run is: "not started", "running", "finished" or "failed"."""
        if self.history.first is None:
            return "not started"
        return "running" if self.history.ending is None else self.history.state

    @cached_property
    def metrics(self) -> list[Metrics]:
        """Metrics of each committed root round, in their order."""
        return list(self.history.metrics.values())

    @property
    def latest(self) -> Metrics | None:
        """Metrics of the newest root round."""
        return self.history.latest

    @cached_property
    def evaluations(self) -> list[Metrics]:
        """Metrics of the rounds whose model was measured, with the measure that was used last."""
        measured = [(found[0], line) for line in self.metrics if (found := line.quality)]
        return [line for measure, line in measured if measure == measured[-1][0]]

    @property
    def flat(self) -> bool:
        """Whether the clients talk to the root itself."""
        return bool(self.setting("topology.edges") == 0)

    @cached_property
    def edges(self) -> list[str]:
        """Names of the edges, in the order of their numbers."""
        named = {edge for homes in self.homes.values() for edge in homes}
        named |= {edge for plan in self.history.plans.values() for one in plan.assignment for edge in one}
        return sorted(named, key=natural)

    @cached_property
    def hops(self) -> list[str]:
        """The hops that exist: a flat topology has no backbone."""
        return [hop for hop in HOPS if not (self.flat and hop == "backbone")]


def natural(name: str) -> tuple[str, int]:
    """Sort key that puts ``edge-10`` behind ``edge-9``."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdecimal() else (name, 0)


def _partition(
    partition: Mapping[str, Any],
) -> tuple[list[str], dict[str, NDArray[np.float64]], dict[str, list[str]]]:
    """Read class names, and each client's label counts and homes."""
    clients = partition.get("clients", {})
    return (
        [str(name) for name in partition.get("class_names", [])],
        {name: np.asarray(client["counts"], float) for name, client in clients.items()},
        {name: list(client["homes"]) for name, client in clients.items()},
    )

"""The run folder: what lies in it, by name, and reading it in whatever state its run left it.

Nothing here fails because the run did: what is missing, or was torn when the run was killed, is left out.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from fedphd.common.run.history import History
from fedphd.common.run.reading import Reader

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
LEDGER = "ledger.jsonl"
REPORT = "report.html"
SAMPLES = "samples"
CHECKPOINTS = "checkpoints"
PARTITION = "partition.json"
HOLDINGS = "images.json"
CLIENTS = "clients"
IMAGES = "images"  # within it: decoded ones, shared by all clients of a simulation
EDGES = "edges"
AUXILIARY = "auxiliary"
EVALUATION = "evaluation"
TENSORBOARD = "tensorboard"
SPOOL = "spool"
FLOWER_LOG = "flower.log"
ROOT_LOG = "root.log"
LOGS = "logs"
DEPLOYMENT = "deployment"
DEPLOYMENT_FACTS = "deployment.json"
RUN_ID = ".run_id"
LOCK = ".lock"
PROCESSES_LOCK = ".processes.lock"

# All that a run may write there; docs/run-folder.md describes each.
NAMES = (
    *(CONFIG, METRICS, LEDGER, REPORT, SAMPLES, CHECKPOINTS, PARTITION, HOLDINGS, CLIENTS, EDGES, AUXILIARY),
    *(
        EVALUATION,
        TENSORBOARD,
        SPOOL,
        FLOWER_LOG,
        ROOT_LOG,
        LOGS,
        DEPLOYMENT,
        DEPLOYMENT_FACTS,
        RUN_ID,
        LOCK,
        PROCESSES_LOCK,
    ),
)
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


class RunFolder:
    """Reads a run folder.

    Parameters
    ----------
    path : Path
        The folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def begun(self) -> bool:
        """Whether a run has begun to write here."""
        return any((self.path / name).exists() for name in (CONFIG, LEDGER, DEPLOYMENT_FACTS))

    @property
    def has_told(self) -> bool:
        """Whether a run has told its settings, and something of what it did."""
        told = any((self.path / name).is_file() for name in (METRICS, LEDGER))
        return told and (self.path / CONFIG).is_file()

    def settings(self) -> dict[str, Any]:
        """Read the composed configuration as a plain tree.

        It is not checked again, since the run may be read where its data are not. Empty if it cannot be read.
        """
        return _mapping(self.path / CONFIG)

    def partition(self) -> dict[str, Any]:
        """Read who holds what: the classes' names, and each client's label counts and homes. Empty if not known."""
        return _mapping(self.path / PARTITION)

    def holdings(self) -> dict[str, Any]:
        """Read what was found of images before the start, by holder: `images`, `classes`, `shape` and `notes`."""
        return _mapping(self.path / HOLDINGS)

    def history(self) -> History:
        """Read all that the ledger and the metrics tell."""
        return History.of(self.reader().read())

    def reader(self) -> Reader:
        """Follow the ledger and the metrics while they are written."""
        return Reader(self.path / LEDGER, self.path / METRICS)

    def grids(self) -> dict[int, bytes]:
        """Read the sample grids as PNG files by root round, in their order."""
        files = sorted((self.path / SAMPLES).glob("round_*.png"))
        images = {int(file.stem.rpartition("_")[2]): file.read_bytes() for file in files}
        whole = {number: png for number, png in images.items() if png.startswith(PNG_START) and png.endswith(PNG_END)}
        return dict(sorted(whole.items()))

    def checkpoint_rounds(self) -> list[int]:
        """List the root rounds of which there are checkpoints, whole or damaged ones."""
        folders = (self.path / CHECKPOINTS).glob("round_[0-9]*")
        return sorted(int(folder.name.removeprefix("round_")) for folder in folders)


def _mapping(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file; empty if it is missing or was torn."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return tree if isinstance(tree, dict) else {}

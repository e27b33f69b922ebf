"""Where a client is: the part of the data that is its own, and its folders on its own machine.

In a simulation all clients share a machine and the run folder. A deployed client has a node config:

================  ================================================================================
key               what
================  ================================================================================
``partition-id``  its index; its part of the partition
``state-dir``     what it keeps, one folder for each run, and for all runs `latents` and `images`, decoded;
                  shared by its SuperNodes, one per home
``data-path``     where its images are; `data` says where the root's are
``turns-dir``     shared by the clients of a machine that take turns to train; by default below `state-dir`
``turns``         how many of them may train at once; by default one
================  ================================================================================
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flwr.app import Context

from fedphd.client.turns import turn
from fedphd.common.config import Config, from_run_config, run_folder
from fedphd.common.config.load import run_name
from fedphd.common.config.topology import client_id
from fedphd.common.data.holders import holder_data
from fedphd.common.run.logs import log_to
from fedphd.common.run.run_folder import CLIENTS, IMAGES


@dataclass(frozen=True)
class Place:
    """A client's place for one run.

    Attributes
    ----------
    config : Config
        The run's configuration, with the client's own path to its images and a place for them once decoded.
    index : int
        Its part of the partition.
    folder : Path
        What it keeps for this run.
    latents : Path
        Where its images' latents are, if the U-Net works on such; where it has a disk of its own, other
        runs use them too.
    turns : tuple[Path, int] or None
        Folder and number of turns; None where something else, as Ray, sees to that.
    data_path : str
        Where a deployed client's node says that its images are; empty: where the configuration says.
    """

    config: Config
    index: int
    folder: Path
    latents: Path
    turns: tuple[Path, int] | None = None
    data_path: str = ""

    @classmethod
    def of(cls, context: Context) -> "Place":
        """Read the place from a node's context."""
        node, index = context.node_config, int(context.node_config["partition-id"])
        settings, data_path = tuple(sorted(context.run_config.items())), str(node.get("data-path", ""))
        if "state-dir" not in node:
            clients = run_folder(context.run_config, context.run_id) / CLIENTS
            folder = clients / client_id(index)
            return cls(_config(settings, index, data_path, clients / IMAGES), index, folder, folder / "latents")
        log_to(None)
        state = Path(str(node["state-dir"]))
        config = _config(settings, index, data_path, state / IMAGES)
        turns = Path(str(node.get("turns-dir", state / "turns"))), int(node.get("turns", 1))
        return cls(config, index, state / run_name(context.run_config), state / "latents", turns, data_path)

    @property
    def name(self) -> str:
        """The client's id."""
        return client_id(self.index)

    @property
    def apart(self) -> bool:
        """Whether the client has a disk of its own, and a process of its own for each message."""
        return self.turns is not None

    @contextmanager
    def training(self) -> Iterator[None]:
        """Hold a turn to train."""
        if self.turns is None:
            yield
            return
        with turn(*self.turns):
            yield


@lru_cache(maxsize=64)
def _config(run_config: tuple[tuple[str, object], ...], index: int, data_path: str, images: Path) -> Config:
    config = from_run_config(dict(run_config))
    data = holder_data(config, client_id(index))
    data = data.at(Path(data_path)) if data_path else data
    return config.model_copy(update={"data": data.keeping_at(images)})

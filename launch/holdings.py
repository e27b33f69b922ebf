"""The images of a run that are on this machine: each is decoded once before the start, so that none fails within it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.config.topology import client_id
from fedphd.common.data import DataSet, ImageSet, check_fits, holder_data, load
from fedphd.common.data.decoded import DecodedImages
from fedphd.common.data.holders import ROOT
from fedphd.common.data.partitions import partition
from fedphd.common.errors import SettingError
from fedphd.common.run.run_folder import HOLDINGS
from fedphd.server.evaluation.measures import fewest, find_measures
from fedphd.server.evaluation.real import check_real

ALL = "all"  # holders of one set that is split


@dataclass(frozen=True)
class Holding:
    """What a holder has.

    Attributes
    ----------
    holder : str
        "root", a client's id, or "all" where one set is split over the clients.
    images, classes : int
        How many images there are to train on, or for the root to measure with, and of how many classes.
    shape : tuple[int, int, int]
        (C, H, W) of each.
    notes : tuple[str, ...]
        What was left out or changed.
    """

    holder: str
    images: int
    classes: int
    shape: tuple[int, int, int]
    notes: tuple[str, ...]

    @property
    def told(self) -> list[str]:
        """The notes, with whose they are."""
        whose = "images" if self.holder == ALL else f"{self.holder}'s images"
        return [f"{whose}: {note}" for note in self.notes]


def read_images(config: Config) -> list[Holding]:
    """Read what the root evaluates with, and what clients train on, as far as it is on this machine.

    Raises
    ------
    SettingError
        If images are missing, cannot be read, are too few to measure with, do not fit the model, or cannot be split.
    """
    clients = [client_id(index) for index in range(config.topology.clients)]
    splits = config.partition.splits
    holders = {ALL: config.data} if splits else {name: holder_data(config, name) for name in _holders(config, clients)}
    found = {}
    for holder, data in holders.items():
        data.check_there()
        found[holder] = images = load(data, "train", config.seed)
        check_fits(images, config.model)
        for one in _sets(data, images, config.seed):
            one.check()
    if config.evaluation.extractor is not None:
        of_root = config.model_copy(update={"data": holder_data(config, ROOT)})
        check_real(of_root, fewest(find_measures(config.evaluation.measures)))
    if splits:
        partition(found[ALL].labels, len(found[ALL].class_names), config.partition, len(clients), config.seed)
    return [
        Holding(holder, len(one), len(set(one.labels.tolist())), one.shape, one.notes) for holder, one in found.items()
    ]


def save(holdings: list[Holding], run_dir: Path) -> None:
    """Write what there is, for the report."""
    told = {one.pop("holder"): one for one in map(asdict, holdings)}
    (run_dir / HOLDINGS).write_text(json.dumps(told, indent=1), encoding="utf-8")


def _holders(config: Config, clients: list[str]) -> list[str]:
    return [ROOT, *(() if config.runtime.elsewhere else clients)]


def _sets(data: DataSet, images: ImageSet, seed: int) -> Iterator[DecodedImages]:
    """Give what is decoded of a data set: the images to train on, and those held out, if there are any."""
    if not isinstance(images, DecodedImages):
        return
    yield images
    try:
        held_out = load(data, "holdout", seed)
    except SettingError:  # who needs some says so where they are measured with
        return
    if isinstance(held_out, DecodedImages):
        yield held_out

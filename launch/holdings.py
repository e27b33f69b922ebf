"""The images of a run that are on this machine: each is decoded once before the start, so that none fails within it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.config.topology import client_id
from fedphd.common.data import DataSet, ImageSet, check_fits, holder_data, load
from fedphd.common.data.class_doubts import doubts
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
    names : tuple[str, ...]
        Names of these classes.
    shape : tuple[int, int, int]
        (C, H, W) of each.
    notes : tuple[str, ...]
        What was left out or changed.
    """

    holder: str
    images: int
    classes: int
    names: tuple[str, ...]
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
    splits = config.partition.splits
    holders = {ALL: config.data} if splits else {name: holder_data(config, name) for name in holders_here(config)}
    found = {}
    for holder, data in holders.items():
        _check_there(data, holder)
        with whose(holder):
            found[holder] = images = load(data, "train", config.seed)
            check_fits(images, config.model)
            for one in _sets(data, images, config.seed):
                one.check()
    if config.evaluation.extractor is not None:
        of_root = config.model_copy(update={"data": holder_data(config, ROOT)})
        check_real(of_root, fewest(find_measures(config.evaluation.measures)))
    if splits:
        partition(
            found[ALL].labels, len(found[ALL].class_names), config.partition, config.topology.clients, config.seed
        )
    doubtful = doubts({holder: one.class_names for holder, one in found.items()})
    return [_holding(holder, one, [*_other_ranges(holder, found), *doubtful[holder]]) for holder, one in found.items()]


@contextmanager
def whose(holder: str) -> Iterator[None]:
    """Name the holder in what is said of its images, where each has its own and nothing else names it."""
    try:
        yield
    except SettingError as error:
        if holder == ALL or holder in str(error):
            raise
        raise SettingError(error.key, error.value, f"{holder}: {error.advice}") from None


def root_has_none(config: Config) -> bool:
    """Whether every client has images of its own, and the root, which measures nothing, has none."""
    if config.partition.splits or config.evaluation.extractor is not None:
        return False
    try:
        holder_data(config, ROOT).check_there()
    except SettingError:
        return True
    return False


def holders_here(config: Config) -> list[str]:
    """List those who have images of their own that should be on this machine: the root, then the clients."""
    root = [] if root_has_none(config) else [ROOT]
    clients = 0 if config.runtime.elsewhere else config.topology.clients
    return [*root, *(client_id(index) for index in range(clients))]


def save(holdings: list[Holding], run_dir: Path) -> None:
    """Write what there is, for the report."""
    told = {one.pop("holder"): one for one in map(asdict, holdings)}
    (run_dir / HOLDINGS).write_text(json.dumps(told, indent=1), encoding="utf-8")


def read_holdings(run_dir: Path) -> list[Holding]:
    """Read what `save` wrote."""
    told = json.loads((run_dir / HOLDINGS).read_text(encoding="utf-8"))
    return [Holding(holder, **one) for holder, one in told.items()]


def _check_there(data: DataSet, holder: str) -> None:
    try:
        data.check_there()
    except SettingError as error:
        if holder != ROOT:
            raise
        advice = f"{error.advice.partition(';')[0]}; the root measures with these: give it some, or use evaluation=grid"
        raise SettingError(error.key, error.value, advice) from None


def _other_ranges(holder: str, found: Mapping[str, ImageSet]) -> list[str]:
    """Say if a holder's values are scaled by another range than the first one's, since each sees its own alone."""
    notes = []
    for kind in ("whole", "fractions"):
        ranges = {name: one for name, images in found.items() if (one := getattr(images.depth, kind)) is not None}
        first = next(iter(ranges), holder)
        if holder in ranges and ranges[holder] != ranges[first]:
            notes.append(
                f"WARNING: values {ranges[holder]} became 0 to 255, and those of {first} {ranges[first]}; "
                "give data.depth, so that all are scaled alike"
            )
    return notes


def _holding(holder: str, images: ImageSet, further: list[str]) -> Holding:
    names = tuple(images.class_names[number] for number in sorted(set(images.labels.tolist())))
    return Holding(holder, len(images), len(names), names, images.shape, (*images.notes, *further))


def _sets(data: DataSet, images: ImageSet, seed: int) -> Iterator[ImageSet]:
    """Give the images to train on, and those held out, if there are any."""
    yield images
    try:
        yield load(data, "holdout", seed)
    except SettingError:  # who needs some says so where they are measured with
        return

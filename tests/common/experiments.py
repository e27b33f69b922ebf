"""The files of `conf/experiment/`, composed, and the cells of their sweeps."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import hydra
import numpy as np
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from fedphd.common.config import Config, compose
from fedphd.common.data.partitions import partition

FOLDER = Path(__file__).parents[2] / "conf" / "experiment"
FILES = {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}
SWEEPS = [name for name, file in FILES.items() if "sweeper" in file.read_text()]


def given(name: str) -> list[str]:
    """Give what a user must add: where the images and the weights are."""
    line = next(line for line in FILES[name].read_text().splitlines() if line.startswith("# fedphd "))
    return [f"{word.partition('=')[0]}=/tmp" for word in line.split() if "=/" in word]


@cache
def composed(name: str, *more: str) -> Config:
    """Compose an experiment as its first line says, with more overrides."""
    return compose([f"experiment={name}", *given(name), *more])


def cells(name: str, *more: str) -> list[list[str]]:
    """List the overrides of each run that ``fedphd -m experiment=NAME`` makes, as Hydra's own sweeper splits them."""
    with hydra.initialize_config_module("fedphd.conf", version_base="1.3"):
        master = hydra.compose("config", overrides=[f"experiment={name}"], return_hydra_config=True)
    params = [f"{key}={values}" for key, values in master.hydra.sweeper.params.items()]
    overrides = OverridesParser.create().parse_overrides([*params, f"experiment={name}", *more])
    [batch] = BasicSweeper.split_arguments(overrides, None)
    return batch


def label_counts(config: Config, classes: Sequence[int]) -> list[dict[int, int]]:
    """Split labels, so many of each class, as the experiment does; count each client's by class."""
    labels = np.repeat(np.arange(len(classes)), classes)
    parts = partition(labels, len(classes), config.partition, config.topology.clients, config.seed)
    counts = [np.bincount(labels[part], minlength=len(classes)).tolist() for part in parts]
    return [{number: images for number, images in enumerate(own) if images} for own in counts]


def said(name: str) -> dict[str, object]:
    """Read what an experiment's own file sets."""
    tree = yaml.safe_load(FILES[name].read_text())
    return {key: value for key, value in tree.items() if key not in ("defaults", "hydra")}

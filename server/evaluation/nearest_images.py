"""Generated images beside the training images nearest to them, where these are the root's own to show."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from fedphd.common.config import Config
from fedphd.common.data import load
from fedphd.common.data.cache import keep, name_of_part
from fedphd.common.data.images import Pixels
from fedphd.common.data.nearness import features_of, nearest
from fedphd.common.data.partitions import hold_out, partition
from fedphd.server.evaluation.grid import save_grid
from fedphd.server.evaluation.real import blocks

SHOWN = 24  # pairs


def are_roots_own(config: Config) -> bool:
    """Say whether the root reads the images that clients train on: one set is split over clients on its machine."""
    return config.partition.splits and not config.runtime.elsewhere


def show_nearest(config: Config, generated: Pixels, file: Path, device: torch.device) -> None:
    """Save pairs of a generated image and the training image nearest to it, the nearest first.

    Parameters
    ----------
    config : Config
        The run's configuration, whose training images must be the root's own. Where its clients keep decoded images,
        in `config.data.kept_at`, these are not decoded again.
    generated : NDArray[uint8]
        Shape (n, C, H, W).
    file : Path
        A PNG file.
    device : torch.device
        Where features are computed.
    """
    name = config.evaluation.memorisation_features
    queries = features_of(generated, name, device)
    best, others = np.full(len(generated), np.inf), np.zeros_like(generated)
    for block in _trained_on(config):
        found = nearest(queries, features_of(block, name, device))
        nearer = found.distance < best
        best[nearer], others[nearer] = found.distance[nearer], block[found.index[nearer]]
    order = np.argsort(best, kind="stable")[:SHOWN]
    save_grid(np.concatenate([generated[order], others[order]], axis=3), file)


def _trained_on(config: Config) -> Iterator[Pixels]:
    """Yield the images that clients train on, some at a time."""
    data, scheme, clients, seed = config.data, config.partition, config.topology.clients, config.seed
    images = load(data, "train", seed)
    for index, part in enumerate(partition(images.labels, len(images.class_names), scheme, clients, seed)):
        train, _ = hold_out(len(part), scheme.holdout, seed, index)
        kept = keep(images.subset(part[train]), data.kept_at, name_of_part(data, scheme, clients, seed, index))
        yield from blocks(kept, np.arange(len(train)))

"""What clients will tell when they register, as far as that is known before the run."""

from collections.abc import Sequence

import numpy as np

from fedphd.common.averaging.homogeneity import told_samples
from fedphd.common.config import Config
from fedphd.common.config.topology import client_id, edge_ids, homes
from fedphd.common.data import check_fits, holder_data, load
from fedphd.common.data.class_list import ONE_CLASS
from fedphd.common.data.holders import ROOT
from fedphd.common.data.images import ImageSet, Indices
from fedphd.common.data.partitions import hold_out, partition
from fedphd.common.wire.messages import Profile
from fedphd.launch.holdings import root_has_none
from fedphd.server.registry import Registry, over_common_classes


def unknown_profiles(config: Config) -> str | None:
    """Say what keeps the clients' label histograms from being known here, and what stands in for them.

    Returns
    -------
    str or None
        None if they are known.
    """
    if elsewhere(config):
        return "partition=own in a deployment: as if every client had as many images of each class"
    if config.privacy.histogram_epsilon is not None:
        return f"privacy.histogram_epsilon={config.privacy.histogram_epsilon}: as if there were no noise"
    return None


def registry(config: Config) -> Registry:
    """Make the registry that a run without faults will have.

    Raises
    ------
    SettingError
        If the images cannot be read, do not fit the U-Net, or cannot be split as asked.
    """
    clients = [client_id(index) for index in range(config.topology.clients)]
    profiles = dict(zip(clients, _profiles(config, clients), strict=True))
    nodes = {edge: node for node, edge in enumerate(edge_ids(config.topology), start=1)}
    return Registry(nodes, over_common_classes(profiles), homes(config.topology))


def _profiles(config: Config, clients: list[str]) -> list[Profile]:
    if not config.partition.splits and not elsewhere(config):
        own = [_images(config, client) for client in clients]
        return [_profile(config, index, one, np.arange(len(one))) for index, one in enumerate(own)]
    if elsewhere(config):
        names = _classes_elsewhere(config)
        return [_told(client, names, [1.0] * len(names)) for client in clients]
    images = _images(config, ROOT)
    classes = len(images.class_names)
    parts = partition(images.labels, classes, config.partition, len(clients), config.seed)
    return [_profile(config, index, images, part) for index, part in enumerate(parts)]


def elsewhere(config: Config) -> bool:
    """Whether the clients' images are on their own machines."""
    return not config.partition.splits and config.runtime.elsewhere


def _classes_elsewhere(config: Config) -> Sequence[str]:
    """Give the classes that the user lists, or those of the root's own images; one, if it has none."""
    if config.data.fixed_classes is not None:
        return config.data.fixed_classes
    return (ONE_CLASS,) if root_has_none(config) else _images(config, ROOT).class_names


def _images(config: Config, holder: str) -> ImageSet:
    data = holder_data(config, holder)
    data.check_there()
    images = load(data, "train", config.seed)
    check_fits(images, config.model)
    return images


def _profile(config: Config, index: int, images: ImageSet, part: Indices) -> Profile:
    """Count what a client trains on of its part of a set."""
    train, _ = hold_out(len(part), config.partition.holdout, config.seed, index)
    counts = np.bincount(images.labels[part[train]], minlength=len(images.class_names))
    return _told(client_id(index), images.class_names, [float(count) for count in counts])


def _told(client: str, classes: Sequence[str], counts: list[float]) -> Profile:
    return Profile(client, told_samples(counts), list(classes), counts)

"""Whose images are where, when every client brings its own (`partition=own`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedphd.common.data.data_set import DataSet

if TYPE_CHECKING:
    from fedphd.common.config import Config  # which holds a data set

ROOT = "root"


def holder_data(config: Config, holder: str) -> DataSet:
    """Say where a holder's images are.

    Parameters
    ----------
    config : Config
        With `partition=own`, each holder has images of its own; with any other, all read the same.
    holder : str
        "root" or a client's id.
    """
    return config.data if config.partition.splits else config.data.of(holder)

"""Whose images are where, when every client brings its own (`partition=own`)."""

from pathlib import Path

from fedphd.common.config import Config, DataConfig
from fedphd.common.errors import SettingError

ROOT = "root"


def holder_data(config: Config, holder: str) -> DataConfig:
    """Say where a holder's images are.

    Parameters
    ----------
    config : Config
        With `partition=own`, `data.path` is a folder that has one entry for each holder: ``root`` for the
        images that the root evaluates with, ``client-0`` and so on; with data=npz, ``root.npz`` and so on.
        With any other partition, all holders read the same images.
    holder : str
        "root" or a client's id.

    Returns
    -------
    DataConfig
        With the holder's own path; a holder need not have images of every class.
    """
    data = config.data
    if config.partition.splits or data.path is None:
        return data
    path = data.path / (f"{holder}.npz" if data.kind == "npz" else holder)
    return data.model_copy(update={"path": path, "empty_classes": True})


def check_there(data: DataConfig) -> None:
    """Check that images can be looked for at all.

    Raises
    ------
    SettingError
        If the file or folder that the configuration names is not on this machine.
    """
    for key in ("path", "root"):
        path: Path | None = getattr(data, key)
        if path is not None and not path.exists() and not data.download:
            raise SettingError(f"data.{key}", path, "no such file or folder; give the path of your images")

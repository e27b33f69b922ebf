"""Composing a configuration for whoever typed its settings: what Hydra refuses is told in one line."""

from collections.abc import Sequence

from fedphd.common.config import Config
from fedphd.common.config import compose as compose_config
from fedphd.launch.refusals import hydra_explained


def compose(overrides: Sequence[str] = ()) -> Config:
    """Compose a configuration from settings as they are given on the command line, and check it.

    Raises
    ------
    SettingError
        If there is no such setting or choice, or a value cannot work.
    FedPhDError
        If the overrides cannot be understood.
    """
    with hydra_explained(overrides):
        return compose_config(overrides)

"""How ``fedphd cost`` prints what it found."""

import json

from fedphd.common.config import Config
from fedphd.launch.cost.estimate import estimate
from fedphd.launch.cost.plain import plain
from fedphd.launch.cost.terminal import show
from fedphd.launch.image_shape import follow_images
from fedphd.launch.terminal import open_console

PIPE_WIDTH = 160  # columns, where there is no terminal


def print_cost(config: Config, as_json: bool = False) -> None:
    """Print what a configuration will communicate; nothing is trained.

    Parameters
    ----------
    config : Config
        The configuration.
    as_json : bool
        Print JSON instead of tables.

    Raises
    ------
    SettingError
        If the run could not start with these settings.
    """
    found = estimate(follow_images(config))
    if as_json:
        print(json.dumps(plain(found), indent=2))
    else:
        show(found, open_console(PIPE_WIDTH))

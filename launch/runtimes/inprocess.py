"""The whole run in this one process, without Ray: the `inprocess` runtime."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedphd.client.app import app as client_app
from fedphd.common.config import Config, to_run_config
from fedphd.common.run.run_folder import FLOWER_LOG
from fedphd.launch.runtimes.client_grid import InProcessGrid
from fedphd.server.simulation import simulate


def in_process_grid(config: Config, run_dir: Path) -> InProcessGrid:
    """Make a grid of all clients within this process."""
    return InProcessGrid(client_app, config.topology.clients, to_run_config(config, run_dir))


def run(config: Config, run_dir: Path) -> None:
    """Train here and now; clients take turns. Flower's log goes to ``flower.log`` in the run folder."""
    with _flower_log(run_dir / FLOWER_LOG):
        simulate(in_process_grid(config, run_dir), config, run_dir)


@contextmanager
def _flower_log(file: Path) -> Iterator[None]:
    """Keep Flower's log off the terminal, where the progress display is."""
    logger = logging.getLogger("flwr")
    before, logger.handlers = logger.handlers, [logging.FileHandler(file)]
    try:
        yield
    finally:
        logger.handlers[0].close()
        logger.handlers = before

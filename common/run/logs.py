"""Where the apps of a deployment log to: Flower shows little of a ServerApp's output, and nothing of ours."""

import logging
import sys
from functools import cache
from pathlib import Path

OURS = ("fedphd", "flwr")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@cache
def log_to(file: Path | None) -> None:
    """Send this process's log from INFO up to a file, or to stderr, once."""
    handler = logging.StreamHandler(sys.stderr) if file is None else logging.FileHandler(file)
    handler.setFormatter(logging.Formatter(FORMAT))
    for name in OURS:
        if file is None and name == "flwr":
            continue  # it writes to the terminal by itself
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        if name != "flwr":
            logger.setLevel(logging.INFO)

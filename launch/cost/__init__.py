"""``fedphd cost``: what a configuration will communicate, before anything runs."""

from fedphd.launch.cost.command import main

__all__ = ["main"]

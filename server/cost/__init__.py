"""``fedphd cost``: what a configuration will communicate, before anything runs."""

from server.cost.command import main

__all__ = ["main"]

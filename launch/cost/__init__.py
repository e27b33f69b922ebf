"""``fedphd cost``: what a configuration will communicate, before anything runs."""

from fedphd.launch.cost.command import print_cost

__all__ = ["print_cost"]

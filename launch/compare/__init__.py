"""``fedphd compare``: runs side by side, as a table, a plot and a page, made from their folders alone."""

from fedphd.launch.compare.command import print_comparison

__all__ = ["print_comparison"]

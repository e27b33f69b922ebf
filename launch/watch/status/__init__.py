"""Where a deployment stands: what its run folder tells, and beside it what each SuperLink tells."""

from fedphd.launch.watch.status.command import print_status

__all__ = ["print_status"]

"""Where a deployment stands: what its run folder tells, and beside it what each SuperLink tells."""

from common.launch.status.command import main

__all__ = ["main"]

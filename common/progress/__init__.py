"""What a run says while it goes on: read from its ledger and metrics, so it serves every runtime."""

from common.progress.display import Progress

__all__ = ["Progress"]

"""What a run's model was trained from, for the model card."""

from collections.abc import Iterator
from pathlib import Path

from fedphd.common.config import ModelConfig

SHOWN = 16  # digits of a hash


def hub_id(init: str | None) -> str | None:
    """Give the id of the Hugging Face hub that `model.init` is; None for folders, which are of one machine."""
    return None if init is None or Path(init).expanduser().is_absolute() else init


def origin(model: ModelConfig) -> Iterator[tuple[str, str]]:
    """Say what weights a model began with, and what was trained beside them, where that is not the model itself."""
    if model.init is not None:
        known = "" if model.init_hash is None else f", SHA-256 {model.init_hash[:SHOWN]}"
        base = hub_id(model.init)
        yield "started from", f"given weights{known}" if base is None else f"`{base}`{known}"
    if model.adapters.freezes:
        yield "adapters", f"{model.adapters.kind}, added into the weights"

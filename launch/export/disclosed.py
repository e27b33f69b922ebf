"""What clients disclosed of their images, for the model card."""

from collections.abc import Iterator

from fedphd.common.config import Config


def travelled(config: Config) -> str:
    """List what crossed the network in a run."""
    return _listed(
        ["models", "counts of labels", "notes on what was changed or left out of the images", *_answers(config)]
    )


def told_of_images(config: Config) -> str:
    """Say what clients told of their images beside counts."""
    told = _listed(["notes on what was changed or left out of their images", *_answers(config)])
    return f"they sent {told}, without noise"


def _answers(config: Config) -> Iterator[str]:
    """List what clients were asked about their own images."""
    if config.evaluation.asks_clients(last=True):
        yield "losses on some of the images"
    if config.evaluation.memorisation:
        yield "distances of generated and held-out images from the nearest of them"


def _listed(parts: list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last

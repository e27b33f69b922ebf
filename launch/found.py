"""The first line of a run: what there is of images."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fedphd.common.config import Config
from fedphd.common.data.class_list import in_order
from fedphd.common.data.decoding.words import printable, several
from fedphd.common.data.holders import ROOT
from fedphd.launch.holdings import Holding, read_holdings

MOST_NAMED = 5  # classes


def found(config: Config, run_dir: Path) -> str:
    """Say how many images of which classes there are, for how many clients, and of which size.

    Parameters
    ----------
    config : Config
        The run's configuration.
    run_dir : Path
        The run folder, in which what was found before the start is written down.

    Returns
    -------
    str
        As "1,234 images of 3 classes (bird, cat, dog) for 10 clients, 28x28 grey".
    """
    holdings = read_holdings(run_dir)
    of_clients = [one for one in holdings if one.holder != ROOT]
    clients = several(config.topology.clients, "client")
    if not of_clients:
        root = f"; the root has {_images(holdings)}, {_form(holdings[0].shape)}" if holdings else ""
        return f"{clients}, each with images on its own machine{root}"
    counts = sorted(one.images for one in of_clients)
    each = "" if len(counts) == 1 else f" ({counts[0]:,} to {counts[-1]:,} each)"
    return f"{_images(of_clients)} for {clients}{each}, {_form(of_clients[0].shape)}"


def _images(holdings: Sequence[Holding]) -> str:
    names = _names(name for one in holdings for name in one.names)
    kinds = "1 class" if len(names) == 1 else f"{len(names):,} classes"
    named = ", ".join(printable(name) for name in names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    return f"{several(sum(one.images for one in holdings), 'image')} of {kinds} ({named})"


def _names(names: Iterable[str]) -> list[str]:
    different = list(dict.fromkeys(names))
    return in_order(different)


def _form(shape: Sequence[int]) -> str:
    channels, height, width = shape
    return f"{height}x{width} {'grey' if channels == 1 else 'colour'}"

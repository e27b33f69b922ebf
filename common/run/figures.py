"""Numbers as a person reads them."""

import math
from typing import Any

HOPS = ("access", "backbone")
WAYS = ("down", "up")
BESIDE = ("_reference", "_floor", "_std")  # ends of the names of what belongs to a measure


def three_digits(value: float) -> str:
    """Write a number with three significant digits and without an exponent: 0.0603, 31.2, 1540."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def size(count: float) -> str:
    """Write a number of bytes in MB (10^6 bytes), or GB (10^9) from 1000 MB on."""
    return f"{three_digits(count / 1e9)} GB" if count >= 1e9 else f"{three_digits(count / 1e6)} MB"


def duration(seconds: float) -> str:
    """Write seconds as their two leading units, e.g. ``8.3 s``, ``12 min 4 s``, ``3 h 20 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def quality(metrics: dict[str, Any]) -> tuple[str, float] | None:
    """Find the main quality measure in a line of metrics: its name (``fid`` or ``fd_...``) and its value.

    Not what stands beside it: real images' (``_reference``, ``_floor``), a spread (``_std``), or one client's
    (``fd_classifier/client-3``).
    """
    for key, value in metrics.items():
        if (key == "fid" or key.startswith("fd_")) and not _stands_beside(key):
            return key, value
    return None


def further(measures: dict[str, float]) -> dict[str, float]:
    """Find the other measures of generated images, e.g. ``is_mean``, ``kid`` or ``precision_classifier``."""
    main = quality(measures)
    return {key: value for key, value in measures.items() if not _stands_beside(key) and (key, value) != main}


def _stands_beside(key: str) -> bool:
    return key.endswith(BESIDE) or "/" in key


def one_line(text: object) -> str:
    """Make text that may be a peer's own words safe to show: no line breaks, no terminal codes."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in str(text)).split())

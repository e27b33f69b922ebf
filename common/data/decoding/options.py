"""Options of data sets that say how values and transparency become pixels."""

from math import isfinite
from typing import Annotated

from pydantic import BeforeValidator

from fedphd.common.data.decoding.colour import parse_colour
from fedphd.common.data.decoding.facts import Window
from fedphd.common.errors import SettingError

MOST_BITS = 32


def _checked_depth(given: object) -> object:
    match given:
        case "auto":
            return given
        case int() if not isinstance(given, bool) and 1 <= given <= MOST_BITS:
            return given
        case [int() | float() as low, int() | float() as high] if low < high:
            return (float(low), float(high))
    raise SettingError("data.depth", given, f"must be auto, a number of bits from 1 to {MOST_BITS}, or [low, high]")


def _checked_window(given: object) -> object:
    match given:
        case "file" | None:
            return given
        case [int() | float() as centre, int() | float() as width] if width > 0 and isfinite(centre + width):
            return (float(centre), float(width))
    raise SettingError("data.window", given, "must be file, null, or [centre, width] with a width above 0")


def _checked_colour(given: object) -> object:
    try:
        parse_colour(str(given))
    except ValueError:
        raise SettingError("data.background", given, "is no colour; give a name such as white, or '#ffffff'") from None
    return given


DepthOption = Annotated[str | int | tuple[float, float], BeforeValidator(_checked_depth)]  # of words, "auto" alone
WindowOption = Annotated[Window, BeforeValidator(_checked_window)]
BackgroundOption = Annotated[str, BeforeValidator(_checked_colour)]

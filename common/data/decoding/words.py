"""Words for what is told of files."""

from collections.abc import Iterable

MOST_NAMED = 3


def cause(error: Exception) -> str:
    """Say in one line why a file cannot be read."""
    from PIL import UnidentifiedImageError  # noqa: PLC0415  (only where images are looked at)

    if isinstance(error, UnidentifiedImageError):
        return "it is empty, damaged, or no image that Pillow reads"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return lines[0].strip().rstrip(".") if lines and lines[0].strip() else type(error).__name__


def some(names: Iterable[str]) -> str:
    """Name at most three different ones of several."""
    different = list(dict.fromkeys(names))
    shown = [printable(name) for name in different[:MOST_NAMED]]
    return ", ".join(shown) + (", ..." if len(different) > MOST_NAMED else "")


def several(count: int, what: str) -> str:
    """Count things whose plural ends in s: "1 image", "1,200 images"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def printable(name: str) -> str:
    """Write a file's name with nothing in it that no terminal or page can show."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in name)

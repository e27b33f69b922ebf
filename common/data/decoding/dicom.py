"""DICOM files, through pydicom (the extra `medical`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.decoding.depth import Range, extremes, is_whole
from fedphd.common.data.decoding.facts import Decoding, Facts, Mark, Window, window_range
from fedphd.common.errors import SettingError

if TYPE_CHECKING:
    from PIL.Image import Image
    from pydicom import Dataset

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")  # of enhanced multi-frame files
TRANSFORM, VOI = "PixelValueTransformationSequence", "FrameVOILUTSequence"


class NoImageError(Exception):
    """A DICOM file that holds no image, as a report or a directory."""


def open_dicom(path: str, number: int | None, decoding: Decoding) -> Image:
    """Decode a frame to 8 bits.

    Rescaled to its own units, by slope and intercept or its table; shown through the window, from `decoding`, else by
    its depth; MONOCHROME1 inverted.

    Parameters
    ----------
    path : str
        The file.
    number : int or None
        The frame; None: the middle one.
    decoding : Decoding
        The options.
    """
    from PIL import Image as pil  # noqa: N813, PLC0415  (only where images are decoded)

    data = _read(path, Path(path).stat().st_mtime_ns)
    _check_decodable(data)
    frame = _frames(data) // 2 if number is None else number
    values = _values(data, frame)
    if values.ndim == 3:
        bits = 8 * values.dtype.itemsize if "PALETTE" in data.PhotometricInterpretation else int(data.BitsStored)
        return pil.fromarray(values if values.dtype == np.uint8 else Range(0, 2**bits - 1).to_bytes(values))
    values, window = _windowed(data, frame, values, decoding.window)
    shown = decoding.depth.to_bytes(values) if window is None else window.to_bytes(values)
    return pil.fromarray(255 - shown if _inverted(data) else shown)


def look_at_dicom(path: str, decoding: Decoding, *, every_page: bool, measure: bool) -> Facts:
    """Look at a file, as `look_at_picture`.

    Raises
    ------
    NoImageError
        If it holds none.
    """
    data = _read(path, Path(path).stat().st_mtime_ns)
    if "Rows" not in data or "PhotometricInterpretation" not in data:
        raise NoImageError
    _check_decodable(data)
    frames, marks = _frames(data), {Mark.INVERTED} if _inverted(data) else set()
    if not _is_grey(data):
        return Facts(False, frames, marks=frozenset(marks))
    looked_at = range(frames) if every_page else [frames // 2]
    windows = [_window_of(data, frame, decoding.window) for frame in looked_at]
    if windows[0] is not None:
        return Facts(True, frames, window=windows[0], marks=frozenset(marks))
    if not measure:
        return Facts(True, frames, deep=int(data.BitsAllocated) > 8, marks=frozenset(marks))
    values = [_values(data, frame) for frame in looked_at]
    if values[0].dtype == np.uint8:
        return Facts(True, frames, marks=frozenset(marks))
    found = extremes(np.concatenate([one.ravel() for one in values]))
    return Facts(True, frames, True, found, is_whole(values[0]), marks=frozenset(marks))


@lru_cache(maxsize=1)  # the frames of a file are asked for one after the other
def _read(path: str, changed: int) -> Dataset:  # noqa: ARG001  (another time is another file)
    try:
        import pydicom  # noqa: PLC0415  (an optional dependency)
    except ImportError:
        raise missing("DICOM", "pydicom", path) from None
    return pydicom.dcmread(path)


def missing(form: str, library: str, path: str) -> SettingError:
    """Make the error that says which extra to install."""
    advice = f"is {form}, and {library} is not installed; install the extra: pip install 'fedphd[medical]'"
    return SettingError("data.path", path, advice)


def _check_decodable(data: Dataset) -> None:
    from pydicom.pixels import get_decoder  # noqa: PLC0415

    syntax = data.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise ValueError(f"its transfer syntax {syntax.name}, {syntax}, cannot be decoded; save it uncompressed")


def _frames(data: Dataset) -> int:
    return max(1, int(data.get("NumberOfFrames") or 1))


def _is_grey(data: Dataset) -> bool:
    return bool(data.PhotometricInterpretation.startswith("MONOCHROME"))


def _inverted(data: Dataset) -> bool:
    return bool(data.PhotometricInterpretation == "MONOCHROME1")


def _values(data: Dataset, frame: int) -> NDArray[Any]:
    """Decode a frame: grey in its own units, shape (H, W), or RGB, (H, W, 3)."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array  # noqa: PLC0415

    raw: NDArray[Any] = pixel_array(data, index=frame)
    if "PALETTE" in data.PhotometricInterpretation:
        coloured: NDArray[Any] = apply_color_lut(raw, data)
        return coloured
    if raw.ndim == 3:
        return raw
    facts = _facts(data, frame, TRANSFORM)
    slope, intercept = float(facts.get("RescaleSlope") or 1), float(facts.get("RescaleIntercept") or 0)
    if (slope, intercept) == (1, 0) and not facts.get("ModalityLUTSequence"):
        return raw
    values: NDArray[Any] = apply_modality_lut(raw, facts)
    whole = slope.is_integer() and intercept.is_integer() and not is_whole(values)
    return values.astype(np.int64) if whole else values


def _facts(data: Dataset, frame: int, wanted: str) -> Dataset:
    """Find where the facts of a frame stand: in the groups of an enhanced file, or at the top."""
    for name, index in zip(GROUPS, (0, frame), strict=True):
        groups = data.get(name) or []
        if index < len(groups) and groups[index].get(wanted):
            found: Dataset = groups[index][wanted][0]
            return found
    return data


def _windowed(data: Dataset, frame: int, values: NDArray[Any], window: Window) -> tuple[NDArray[Any], Range | None]:
    """Apply a curve or a table of the file's, and give the range of the result that becomes black to white."""
    facts = _facts(data, frame, VOI)
    if window == "file" and "WindowCenter" not in facts and facts.get("VOILUTSequence"):
        from pydicom.pixels import apply_voi  # noqa: PLC0415

        return apply_voi(values, facts), Range(0, 2 ** int(facts.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    if window == "file" and facts.get("VOILUTFunction") == "SIGMOID":
        centre, width = _first(facts.WindowCenter), _first(facts.WindowWidth)
        return 1 / (1 + np.exp(-4 * (values - centre) / width)), Range(0, 1)
    return values, _window_of(data, frame, window)


def _window_of(data: Dataset, frame: int, window: Window) -> Range | None:
    if window is None:
        return None
    if window != "file":
        return window_range(*window)
    facts = _facts(data, frame, VOI)
    if facts.get("WindowCenter") is None or facts.get("WindowWidth") is None:
        return None
    centre, width = _first(facts.WindowCenter), _first(facts.WindowWidth)
    if facts.get("VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID"):
        return Range(centre - width / 2, centre + width / 2)
    return window_range(centre, max(width, 1.0))


def _first(value: Any) -> float:
    """Take the first of several windows, which a file names in the order of its choice."""
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)

"""NIfTI volumes, through nibabel (the extra `medical`): slices along one of the body's planes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedphd.common.data.decoding.depth import Range, extremes, is_whole
from fedphd.common.data.decoding.dicom import missing
from fedphd.common.data.decoding.facts import Decoding, Facts, Mark, Plane, Window, window_range

if TYPE_CHECKING:
    from PIL.Image import Image

AXES: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}  # of a volume to the right, front and top
COLOURS = ("R", "G", "B")
READING = Lock()  # threads that want slices of one volume wait for the first to read it


def open_nifti(path: str, number: int | None, decoding: Decoding) -> Image:
    """Decode a slice to 8 bits, through the window, of `decoding` or the header's `cal_min` and `cal_max`, or by depth.

    Slices are shown as radiologists do: the patient's right at the left of axial and coronal ones, the front at the
    left of sagittal ones, the front or the top of the body at the top. Voxels are taken for cubes.

    Parameters
    ----------
    path : str
        The file.
    number : int or None
        The slice; None: the middle one.
    decoding : Decoding
        The options.
    """
    from PIL import Image as pil  # noqa: N813, PLC0415  (only where images are decoded)

    volume = _volume_of(path)
    axis = AXES[decoding.plane]
    chosen = volume.take(volume.shape[axis] // 2 if number is None else number, axis=axis)
    values = np.ascontiguousarray(np.swapaxes(chosen[::-1, ::-1], 0, 1))
    window = _window_of(_load(path), decoding.window)
    if values.ndim == 3 or window is None:
        return pil.fromarray(decoding.depth.to_bytes(values))
    return pil.fromarray(window.to_bytes(values))


def look_at_nifti(path: str, decoding: Decoding, *, measure: bool) -> Facts:
    """Look at a file, as `look_at_picture`; its slices share a range, so all of them are looked at."""
    image = _load(path)
    shape = (*image.shape, 1, 1)[:3]
    colour = image.get_data_dtype().fields is not None
    marks = {Mark.SERIES} if int(np.prod(image.shape[3:])) > 1 else set()
    window, deep = None if colour else _window_of(image, decoding.window), not colour and not _is_of_bytes(image)
    if window is not None or not deep or not measure:
        pages = _pages(image, decoding.plane, shape)
        return Facts(not colour, pages, deep and window is None, window=window, marks=frozenset(marks))
    volume = _volume_of(path)
    found, whole = extremes(volume), is_whole(volume)
    if not whole and not np.isfinite(volume).all():
        marks.add(Mark.NOT_FINITE)
    return Facts(True, volume.shape[AXES[decoding.plane]], True, found, whole, marks=frozenset(marks))


def _load(path: str) -> Any:
    try:
        import nibabel  # noqa: PLC0415  (an optional dependency)
    except ImportError:
        raise missing("NIfTI", "nibabel", path) from None
    return nibabel.load(path)


def _is_of_bytes(image: Any) -> bool:
    unscaled = (image.dataobj.slope, image.dataobj.inter) == (1, 0)
    return bool(unscaled and image.get_data_dtype() == np.uint8)


def _orientation(image: Any) -> NDArray[np.float64]:
    from nibabel.orientations import io_orientation  # noqa: PLC0415

    return np.asarray(io_orientation(image.affine), np.float64)


def _pages(image: Any, plane: Plane, shape: tuple[int, ...]) -> int:
    """Count the slices along a plane without reading them."""
    towards = _orientation(image)[:, 0]
    return int(shape[int(np.flatnonzero(towards == AXES[plane])[0])])


def _volume_of(path: str) -> NDArray[Any]:
    with READING:
        return _volume(path, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=1)  # the slices of a volume are asked for one after the other
def _volume(path: str, changed: int) -> NDArray[Any]:  # noqa: ARG001  (another time is another file)
    """Read a volume with its axes to the body's right, front and top, shape (X, Y, Z) or (X, Y, Z, 3)."""
    from nibabel.orientations import apply_orientation  # noqa: PLC0415

    image = _load(path)
    data = np.asanyarray(image.dataobj)
    if data.dtype.fields is not None:
        data = np.stack([data[name] for name in COLOURS], axis=-1)
    else:
        data = data.reshape(*(*data.shape, 1, 1)[:3], -1)[..., 0]
        data = data.astype(np.float32) if data.dtype == np.float64 else data
    return np.asarray(apply_orientation(data, _orientation(image)))


def _window_of(image: Any, window: Window) -> Range | None:
    if window == "file":
        low, high = float(image.header["cal_min"]), float(image.header["cal_max"])
        return Range(low, high) if high > low else None
    return None if window is None else window_range(*window)

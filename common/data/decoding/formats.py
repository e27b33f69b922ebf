"""Which files are images: by Pillow's own list of endings, and the medical ones."""

from __future__ import annotations

from enum import Enum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Pillow knows these by sight only, or starts another program to read them, which no image may do.
NOT_READ = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
NIFTI = (".nii", ".nii.gz")
DICOM = (".dcm", ".dicom", ".ima")
DECODERS = ("pillow", "pydicom", "nibabel", "pylibjpeg", "pylibjpeg-openjpeg")  # which may decode one file otherwise
DICOM_MAGIC, DICOM_START = b"DICM", 128


class Kind(Enum):
    """Which library reads a file."""

    PICTURE = "Pillow"
    DICOM = "pydicom"
    NIFTI = "nibabel"


def kind_of(path: str) -> Kind | None:
    """Say who reads a file, by its ending; DICOM files often have none, and are known by their first bytes.

    Returns
    -------
    Kind or None
        None: it is no image that we read.
    """
    known = kind_by_name(path)
    return known or (Kind.DICOM if _is_dicom(path) else None)


def kind_by_name(path: str) -> Kind | None:
    """Say who reads a file, by its ending alone."""
    name = Path(path).name.lower()
    if name.endswith(NIFTI):
        return Kind.NIFTI
    if name.endswith(DICOM):
        return Kind.DICOM
    return Kind.PICTURE if Path(name).suffix in endings() else None


@cache
def endings() -> frozenset[str]:
    """Give the endings that Pillow has registered for formats that it reads by itself, in small letters."""
    from PIL import Image  # noqa: PLC0415  (only where images are looked for)

    by_ending = Image.registered_extensions()
    known = set(formats()) | {"MPO"}  # which the reader of JPEG opens
    return frozenset(ending for ending, form in by_ending.items() if form in known)


@cache
def formats() -> tuple[str, ...]:
    """Name the formats as which Pillow may open a file, whatever its ending."""
    from PIL import Image  # noqa: PLC0415

    Image.init()
    return tuple(form for form in Image.ID if form not in NOT_READ)


@cache
def decoders() -> tuple[str | None, ...]:
    """Give the versions of the libraries that decode images, which are not all alike; None: it is not installed."""
    return tuple(_version(library) for library in DECODERS)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _is_dicom(path: str) -> bool:
    with Path(path).open("rb") as file:
        file.seek(DICOM_START)
        return file.read(len(DICOM_MAGIC)) == DICOM_MAGIC

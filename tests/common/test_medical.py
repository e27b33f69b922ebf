"""DICOM and NIfTI, in files that the tests write."""

import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from image_files import folder, ramp, read, write
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    RLELossless,
    generate_uid,
)

from fedphd.common.errors import SettingError


def dicom(path: Path, values: NDArray[Any], **facts: object) -> Path:
    """Write values of shape (H, W), (frames, H, W) or (H, W, 3)."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    colour = values.ndim == 3 and values.shape[-1] == 3
    if values.ndim == 3 and not colour:
        data.NumberOfFrames = len(values)
    data.Rows, data.Columns = values.shape[:2] if colour else values.shape[-2:]
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8 * values.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in facts.items():
        if name != "syntax":
            setattr(data, name, value)
    data.PixelData = values.tobytes()
    if "syntax" in facts:
        data.compress(facts["syntax"], generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def row(path: Path, **options: object) -> NDArray[np.uint8]:
    """Give the first row of the only image."""
    return read(path, **({"size": 32} | options)).images()[0, 0, 0]


def rises(values: NDArray[np.uint8], low: float, high: float, tolerance: int = 2) -> bool:
    return bool(np.abs(values - np.clip(np.linspace(low, high, len(values)), 0, 255)).max() <= tolerance)


# --- DICOM ---------------------------------------------------------------------------------------


def test_values_without_a_window_take_the_usual_range(tmp_path: Path) -> None:
    dicom(tmp_path / "a" / "x.dcm", ramp(4000))
    images = read(tmp_path, size=32)
    assert images.shape == (1, 32, 32)
    assert rises(images.images()[0, 0, 0], 0, 4000 * 255 / 4095)
    assert "bits, whole numbers from 0 to 4000: 0 to 4095 became 0 to 255" in images.notes[1]


def test_rescaled_values_take_their_own_range(tmp_path: Path) -> None:
    dicom(tmp_path / "a" / "x.dcm", ramp(4000), RescaleSlope=1, RescaleIntercept=-1024)
    assert rises(row(tmp_path), 0, 255)
    assert "from -1024 to 2976: -1024 to 2976 became 0 to 255" in read(tmp_path).notes[1]


@pytest.mark.parametrize(
    ("facts", "low", "high"),
    [
        ({"WindowCenter": 40, "WindowWidth": 400}, -160, 239),
        ({"WindowCenter": [40, 500], "WindowWidth": [400, 2000]}, -160, 239),  # the first of several
        ({"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"}, -160, 240),
    ],
)
def test_the_window_of_the_file(tmp_path: Path, facts: dict[str, object], low: float, high: float) -> None:
    dicom(tmp_path / "a" / "x.dcm", ramp(2000), RescaleSlope=1, RescaleIntercept=-1000, **facts)
    ends = [(value - low) * 255 / (high - low) for value in (-1000, 1000)]
    assert rises(row(tmp_path), *ends)
    note = read(tmp_path).notes[1]
    assert note == (
        f"1 image shown through the windows in their files: {low} became 0 and {high} 255, and what is beyond likewise"
    )


def test_a_window_of_ones_own_and_none(tmp_path: Path) -> None:
    dicom(
        tmp_path / "a" / "x.dcm", ramp(2000), RescaleSlope=1, RescaleIntercept=-1000, WindowCenter=40, WindowWidth=400
    )
    ends = [(value + 500) * 255 / 999 for value in (-1000, 1000)]
    assert rises(row(tmp_path, window=[0, 1000]), *ends)
    assert "shown through data.window=[0,1000]: -500 became 0 and 499 255" in read(tmp_path, window=[0, 1000]).notes[1]
    assert rises(row(tmp_path, window=None), 0, 255)
    assert rises(row(tmp_path, window=None, depth=[-1000, 3000]), 0, 127.5)
    write(tmp_path / "b" / "x.png")
    (tmp_path / "a" / "x.dcm").unlink()
    assert "data.window has no effect" in read(tmp_path, window=[0, 1000], empty_classes=True).notes[0]


def test_a_sigmoid_window(tmp_path: Path) -> None:
    facts = {"WindowCenter": 1000, "WindowWidth": 800, "VOILUTFunction": "SIGMOID"}
    dicom(tmp_path / "a" / "x.dcm", ramp(2000), **facts)
    expected = 255 / (1 + np.exp(-4 * (np.linspace(0, 2000, 32) - 1000) / 800))
    assert np.abs(row(tmp_path) - expected).max() <= 2


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    dicom(tmp_path / "a" / "x.dcm", ramp(4095), PhotometricInterpretation="MONOCHROME1")
    assert rises(row(tmp_path), 255, 0)
    assert "1 image of DICOM's MONOCHROME1 inverted, so that low values are white" in read(tmp_path).notes


def test_colour_and_8_bits(tmp_path: Path) -> None:
    dicom(tmp_path / "a" / "x.dcm", np.full((8, 8, 3), (200, 100, 50), np.uint8))
    assert read(tmp_path).images()[0, :, 0, 0].tolist() == [200, 100, 50]
    assert read(tmp_path).notes == ()
    dicom(tmp_path / "a" / "x.dcm", np.full((8, 8), 77, np.uint8))
    assert (read(tmp_path).images() == 77).all()


def test_the_middle_frame_or_each(tmp_path: Path) -> None:
    frames = np.stack([np.full((8, 8), level, np.uint16) for level in (0, 1000, 4095)])
    dicom(tmp_path / "a" / "x.dcm", frames)
    assert read(tmp_path).images().max() == 249  # 1000 of 1023: of the frame that is used
    assert "1 file of several pages or slices: the middle slice or frame is used" in read(tmp_path).notes[-1]
    every = read(tmp_path, slices="all")
    assert every.images().max(axis=(1, 2, 3)).tolist() == [0, 62, 255]
    assert every.notes[-1] == "1 file of several pages or slices gave 3 images (data.slices=all)"


def test_windows_of_an_enhanced_file(tmp_path: Path) -> None:
    frames = np.stack([ramp(1000), ramp(1000)])
    groups = []
    for slope in (1, 2):
        values, window, group = Dataset(), Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept = slope, 0
        window.WindowCenter, window.WindowWidth = 500.5, 1001
        group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [values], [window]
        groups.append(group)
    dicom(tmp_path / "a" / "x.dcm", frames, PerFrameFunctionalGroupsSequence=groups)
    first, second = read(tmp_path, size=32, slices="all").images()[:, 0, 0]
    assert rises(first, 0, 255) and rises(second, 0, 510)


def test_files_without_an_ending_are_known_by_their_content(tmp_path: Path) -> None:
    for name in ("IM00001", "1.2.840.113619.2"):
        dicom(tmp_path / "a" / name, ramp(4095))
    dicom(tmp_path / "a" / "DICOMDIR", ramp(4095))
    images = read(tmp_path)
    assert len(images) == 2 and len(images.images()) == 2
    assert "1 hidden or system file or folder left out (DICOMDIR)" in images.notes


def test_files_that_hold_no_image_are_left_out(tmp_path: Path) -> None:
    dicom(tmp_path / "a" / "x.dcm", ramp(4095))
    report = pydicom.dcmread(tmp_path / "a" / "x.dcm")
    for name in ("Rows", "Columns", "PixelData", "PhotometricInterpretation"):
        del report[name]
    report.save_as(tmp_path / "a" / "report.dcm")
    images = read(tmp_path)
    assert len(images) == 1
    assert "1 DICOM file without an image left out (report.dcm)" in images.notes


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_compressed_files(tmp_path: Path, syntax: str) -> None:
    dicom(tmp_path / "a" / "x.dcm", ramp(4095), syntax=syntax)
    assert rises(row(tmp_path), 0, 255)


def test_a_syntax_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a" / "x.dcm", ramp(4095), syntax=RLELossless)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = JPEGLossless
    data.save_as(path)
    with pytest.raises(SettingError) as raised:
        read(tmp_path)
    text = str(raised.value)
    assert text.startswith(f"data.path={path}: cannot be read (its transfer syntax JPEG Lossless")
    assert JPEGLossless in text and "save it uncompressed" in text and len(text.splitlines()) == 1


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a" / "x.dcm", ramp(4095))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(SettingError, match=r"x\.dcm: cannot be read"):
        read(tmp_path)
    path.write_bytes(b"no DICOM at all")
    with pytest.raises(SettingError, match=r"x\.dcm: cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize(("library", "name"), [("pydicom", "x.dcm"), ("nibabel", "x.nii")])
def test_a_missing_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    write(tmp_path / "a" / "x.png").rename(tmp_path / "a" / name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SettingError, match=rf"{library} is not installed; install the extra: pip install 'fedphd\[med"):
        read(tmp_path)


# --- NIfTI ---------------------------------------------------------------------------------------


def nifti(path: Path, values: NDArray[Any], affine: NDArray[Any] | None = None, **header: float) -> Path:
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def body() -> NDArray[np.int16]:
    """Rise by 1000 to the right, by 100 to the front and by 10 to the top; axes in this order."""
    x, y, z = np.mgrid[:4, :4, :4]
    return (1000 * x + 100 * y + 10 * z).astype(np.int16)


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_volume_gives_its_middle_axial_slice(tmp_path: Path, ending: str) -> None:
    nifti(tmp_path / "a" / f"x.{ending}", body())
    images = read(tmp_path, size=4)
    # Right at the left, front at the top, z = 2; from 0 to 3330 are 12 bits.
    expected = [[1000 * x + 100 * y + 20 for x in (3, 2, 1, 0)] for y in (3, 2, 1, 0)]
    assert np.abs(images.images()[0, 0] - np.array(expected) * 255 / 4095).max() <= 1
    assert "the middle slice or frame is used" in images.notes[-1]


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        ("coronal", [[1000 * x + 200 + 10 * z for x in (3, 2, 1, 0)] for z in (3, 2, 1, 0)]),
        ("sagittal", [[2000 + 100 * y + 10 * z for y in (3, 2, 1, 0)] for z in (3, 2, 1, 0)]),
    ],
)
def test_other_planes(tmp_path: Path, plane: str, expected: list[list[int]]) -> None:
    nifti(tmp_path / "a" / "x.nii", body())
    pixels = read(tmp_path, size=4, plane=plane).images()[0, 0]
    assert np.abs(pixels - np.array(expected) * 255 / 4095).max() <= 1


def test_the_orientation_of_the_file_does_not_matter(tmp_path: Path) -> None:
    nifti(tmp_path / "a" / "straight.nii", body())
    turned = np.flip(body(), axis=0).transpose(2, 0, 1)  # axes to the top, to the left, to the front
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 2] = affine[3, 3] = 1
    affine[0, 1] = -1
    nifti(tmp_path / "a" / "turned.nii", np.ascontiguousarray(turned), affine)
    for options in ({}, {"plane": "coronal"}, {"plane": "sagittal", "slices": "all"}):
        pixels = read(tmp_path, size=4, **options).images()
        first, second = np.split(pixels, 2)
        np.testing.assert_array_equal(first, second)


def test_every_slice(tmp_path: Path) -> None:
    nifti(tmp_path / "a" / "x.nii.gz", body()[:, :, :3])
    every = read(tmp_path, size=4, slices="all")
    assert len(every) == 3
    assert np.abs(every.images()[:, 0, 3, 3] - np.array([0, 10, 20]) * 255 / 4095).max() <= 1


def test_the_window_of_a_header_and_ones_own(tmp_path: Path) -> None:
    nifti(tmp_path / "a" / "x.nii", body(), cal_min=0, cal_max=1000)
    assert read(tmp_path, size=4).images()[0, 0, :, :3].min() >= 254
    assert "shown through the windows in their files: 0 became 0 and 1000 255" in read(tmp_path).notes[1]
    assert "data.window=[1000,401]" in read(tmp_path, window=[1000, 401]).notes[1]
    wide = read(tmp_path, size=4, window=None)
    assert wide.images().max() == round(3320 * 255 / 4095)


def test_fractions_series_colours_and_flat_volumes(tmp_path: Path) -> None:
    nifti(tmp_path / "a" / "x.nii", (body() / 3330).astype(np.float64))
    assert read(tmp_path, size=4).images().max() == round(3320 / 3330 * 255)
    nifti(tmp_path / "a" / "x.nii", np.stack([body(), 0 * body()], axis=-1))
    images = read(tmp_path, size=4)
    assert images.images().max() == round(3320 * 255 / 4095)
    assert "1 image cut from the first volume of a series" in images.notes
    colour = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"] = 200
    nifti(tmp_path / "a" / "x.nii", colour)
    assert read(tmp_path, size=4).images()[0, :, 0, 0].tolist() == [200, 0, 0]
    nifti(tmp_path / "a" / "x.nii", np.full((4, 4), 9, np.uint8))
    assert (read(tmp_path, size=4).images() == 9).all()


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_volume_cut_short(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 1000, (16, 16, 16)).astype(np.int16)
    path = nifti(tmp_path / "a" / f"x.{ending}", noise)
    path.write_bytes(path.read_bytes()[:3000])
    images = folder(tmp_path, depth=12).read("train", 0)
    with pytest.raises(SettingError, match=r"x\.nii(\.gz)?: cannot be read"):
        images.check()

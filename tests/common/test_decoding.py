"""Depth, colour, pages and sizes: what becomes of pixels, and what is told of it."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from image_files import folder, png16, ramp, read, tiff16, write
from PIL import Image, ImageCms

from fedphd.common.data.decoding.depth import Depth, Range, usual_range
from fedphd.common.data.decoding.formats import endings
from fedphd.common.errors import SettingError

# --- depth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "whole", "chosen"),
    [
        ((0, 4095), True, (0, 4095)),
        ((17, 2049), True, (0, 4095)),
        ((0, 1), True, (0, 1)),  # a mask
        ((0, 200), True, (0, 255)),
        ((0, 256), True, (0, 1023)),
        ((0, 65535), True, (0, 65535)),
        ((0, 2**31), True, (0, 2**32 - 1)),
        ((-1024, 3071), True, (-1024, 3071)),
        ((0.1, 0.9), False, (0, 1)),
        ((-0.9, 0.2), False, (-1, 1)),
        ((0, 130.5), False, (0, 255)),
        ((0, 0.001), False, (0, 0.001)),  # not black, though 0 to 1 would hold it
        ((-0.1, 0.1), False, (-0.1, 0.1)),
        ((3.0, 900.0), False, (3, 900)),
    ],
)
def test_usual_range(seen: tuple[float, float], whole: bool, chosen: tuple[float, float]) -> None:
    found = usual_range(Range(*seen), whole=whole)
    assert (found.low, found.high) == chosen


def test_range_to_bytes() -> None:
    values = np.array([[0, 2047.5, 4095, np.nan, np.inf, -np.inf, 5000, -3]])
    assert Range(0, 4095).to_bytes(values).tolist() == [[0, 128, 255, 0, 255, 0, 255, 0]]
    assert Range(7, 7).to_bytes(np.array([6, 7, 8])).tolist() == [0, 0, 255]
    with pytest.raises(SettingError, match=r"^data.depth=10: an image holds values from 0 to 1024; give more bits"):
        Range(0, 1023, strict=True).to_bytes(np.array([0, 1024]))


def test_without_a_range_16_bits_take_that_of_their_type_and_others_none() -> None:
    assert Depth().to_bytes(np.array([0, 65535], np.uint16)).tolist() == [0, 255]
    assert Depth().to_bytes(np.array([7], np.uint8)).tolist() == [7]
    with pytest.raises(ValueError, match="float32"):
        Depth().to_bytes(np.zeros(3, np.float32))


def is_ramp(image: np.ndarray, highest: int = 255, tolerance: int = 2) -> bool:
    expected = np.linspace(0, highest, image.shape[-1])
    return bool(np.abs(image.astype(float) - expected).max() <= tolerance)


def test_12_bits_in_16_stay_a_ramp(tmp_path: Path) -> None:
    for number, highest in enumerate((4095, 2000)):
        png16(tmp_path / "a" / f"{number}.png", ramp(highest))
    images = read(tmp_path, size=32)
    pixels = images.images()
    assert images.shape == (1, 32, 32)
    assert is_ramp(pixels[0, 0])
    assert is_ramp(pixels[1, 0], 2000 * 255 / 4095)
    assert (pixels == 255).mean() < 0.02
    assert images.notes == (
        "all images are grey: one channel (data.channels=3 makes them colour)",
        "2 images of more than 8 bits, whole numbers from 0 to 4095: 0 to 4095 became 0 to 255 (data.depth=auto)",
    )


@pytest.mark.parametrize("save", ["I;16", "I", "F", "F01", "negative"])
def test_other_deep_modes_stay_a_ramp(tmp_path: Path, save: str) -> None:
    values = ramp(4095)
    made = {
        "I;16": lambda: Image.fromarray(values),
        "I": lambda: Image.fromarray(values.astype(np.int32) * 16),
        "F": lambda: Image.fromarray(values.astype(np.float32) * 3.5),
        "F01": lambda: Image.fromarray(values.astype(np.float32) / 4095),
        "negative": lambda: Image.fromarray(values.astype(np.int32) - 1000),
    }[save]()
    (tmp_path / "a").mkdir()
    made.save(tmp_path / "a" / "x.tif")
    images = read(tmp_path, size=32)
    assert is_ramp(images.images()[0, 0])
    assert "became 0 to 255 (data.depth=auto)" in images.notes[1]


def test_one_range_for_the_whole_set_also_for_the_held_out(tmp_path: Path) -> None:
    for number in range(8):
        png16(tmp_path / "a" / f"{number}.png", ramp(4095 if number == 5 else 300))
    for seed in range(4):
        for split in ("train", "holdout"):
            images = folder(tmp_path, size=32, holdout=0.5).read(split, seed)
            levels = sorted(int(one.max()) for one in images.images())
            assert set(levels) <= {round(300 * 255 / 4095), 255}


def test_8_bits_stay_as_they_are_beside_16(tmp_path: Path) -> None:
    write(tmp_path / "a" / "8.png", mode="L", level=100)
    png16(tmp_path / "a" / "16.png", ramp(4095))
    pixels = read(tmp_path).images()
    assert (pixels[1] == 100).all()
    assert "1 image of more than 8 bits" in read(tmp_path).notes[1]


def test_given_depth(tmp_path: Path) -> None:
    png16(tmp_path / "a" / "x.png", ramp(2000))
    twelve = read(tmp_path, size=32, depth=12)
    assert is_ramp(twelve.images()[0, 0], 2000 * 255 / 4095)
    assert twelve.notes[1] == "1 image of more than 8 bits: 0 to 4095 became 0 to 255, as data.depth says"
    window = read(tmp_path, size=32, depth=[500, 1500])
    row = window.images()[0, 0, 0]
    assert row[0] == 0 and row[-1] == 255 and 120 <= row[16] <= 145
    assert window.notes[1].endswith("values beyond are taken for the nearest end")
    with pytest.raises(SettingError, match=r"^data.depth=10: .*a/x\.png holds values from 0 to 2000"):
        read(tmp_path, depth=10).images()
    write(tmp_path / "b" / "c" / "x.png")
    (tmp_path / "a" / "x.png").unlink()
    assert "data.depth has no effect" in read(tmp_path, depth=10, empty_classes=True).notes[0]


@pytest.mark.parametrize("depth", [0, 33, "12bit", [1], None, 1.5])
def test_depth_that_is_none(tmp_path: Path, depth: object) -> None:
    with pytest.raises(SettingError, match=r"^data\.depth"):
        folder(tmp_path, depth=depth)


@pytest.mark.parametrize("form", ["png", "png with alpha", "little-endian tiff", "big-endian tiff"])
def test_all_16_bits_of_each_colour_count(tmp_path: Path, form: str) -> None:
    values = np.stack([ramp(4095), ramp(2000), np.full((32, 32), 1000, np.uint16)], axis=-1)
    if "png" in form:
        alpha = np.full((32, 32, 1), 65535, np.uint16)  # whose largest value is that of the set
        png16(tmp_path / "a" / "x.png", np.concatenate([values, alpha], -1) if "alpha" in form else values)
    else:
        tiff16(tmp_path / "a" / "x.tif", values, "<" if form.startswith("little") else ">")
    highest = 65535 if "alpha" in form else 4095
    pixels = read(tmp_path, size=32).images()[0]
    assert is_ramp(pixels[0], 4095 * 255 / highest)
    assert is_ramp(pixels[1], 2000 * 255 / highest)
    assert np.abs(pixels[2].astype(float) - 1000 * 255 / highest).max() <= 1


def test_grey_with_alpha_of_16_bits_says_that_its_upper_8_are_used(tmp_path: Path) -> None:
    grey = np.stack([ramp(65535), np.full((32, 32), 65535, np.uint16)], axis=-1)
    png16(tmp_path / "a" / "x.png", grey)
    images = read(tmp_path, size=32)
    assert is_ramp(images.images()[0, 0])
    assert any("of 16 bits a colour cut to the upper 8" in note for note in images.notes)


def test_values_that_are_no_numbers_are_told_of(tmp_path: Path) -> None:
    values = ramp(4095).astype(np.float32)
    values[0, 0] = np.nan
    (tmp_path / "a").mkdir()
    Image.fromarray(values).save(tmp_path / "a" / "x.tif")
    images = read(tmp_path, size=32)
    assert images.images()[0, 0, 0, 0] == 0
    assert any("1 image with NaN" in note for note in images.notes)


# --- colour --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "ending", "channels"),
    [
        *(("1", "png", 1), ("L", "png", 1), ("LA", "png", 1), ("P", "png", 3), ("RGB", "png", 3), ("RGBA", "png", 3)),
        *(("CMYK", "tif", 3), ("YCbCr", "tif", 3), ("P", "gif", 3), ("CMYK", "jpg", 3)),
        *(
            ("RGB", "bmp", 3),
            ("RGB", "webp", 3),
            ("RGB", "jp2", 3),
            ("L", "jpg", 1),
            ("RGB", "ppm", 3),
            ("L", "tga", 1),
        ),
    ],
)
def test_modes_and_formats(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    path = tmp_path / "a" / f"x.{ending}"
    path.parent.mkdir()
    Image.new("L", (16, 16), 255).convert(mode).save(path)
    images = read(tmp_path)
    assert images.shape == (channels, 8, 8)
    assert images.images().min() >= 250


def test_grey_and_colour_as_asked(tmp_path: Path) -> None:
    write(tmp_path / "a" / "grey.png", mode="L")
    assert read(tmp_path).shape == (1, 8, 8)
    assert read(tmp_path, channels=3).shape == (3, 8, 8)
    assert read(tmp_path, channels=3).notes == ()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "a" / "red.png")
    assert read(tmp_path).shape == (3, 8, 8)
    assert read(tmp_path).notes == ("1 grey image became colour, as others are",)
    grey = read(tmp_path, channels=1)
    assert grey.notes == ("1 colour image became grey (data.channels=1)",)
    assert grey.images()[1, 0, 0, 0] == 76  # 0.299 * 255


@pytest.mark.parametrize("made", ["RGBA", "LA", "P", "RGB with one colour"])
def test_transparency_lies_on_the_background(tmp_path: Path, made: str) -> None:
    (tmp_path / "a").mkdir()
    if made == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([0, 0, 0, 255, 255, 255])
        image.save(tmp_path / "a" / "x.png", transparency=0)
    elif made.startswith("RGB "):
        Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "a" / "x.png", transparency=(1, 2, 3))
    else:
        Image.new(made, (8, 8), (0,) * len(made)).save(tmp_path / "a" / "x.png")
    assert (read(tmp_path, channels=3).images() == 255).all()
    red = read(tmp_path, channels=3, background="#ff0000")
    assert red.images()[0, :, 0, 0].tolist() == [255, 0, 0]
    assert "1 image with transparency put on #ff0000 (data.background)" in red.notes
    with pytest.raises(SettingError, match=r"^data.background=nocolour: is no colour; give a name such as white"):
        read(tmp_path, background="nocolour")


def test_cielab_is_converted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.new("RGB", (8, 8), (200, 50, 20)), to_lab)
    lab.save(tmp_path / "a" / "x.tif")
    pixels = read(tmp_path).images()[0, :, 0, 0].astype(int)
    assert np.abs(pixels - [200, 50, 20]).max() <= 4


def test_other_profiles_are_told_of(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write(tmp_path / "a" / "x.png", icc_profile=srgb)
    assert read(tmp_path).notes == ()
    write(tmp_path / "a" / "y.png", icc_profile=b"no profile")
    assert read(tmp_path).notes == (
        "1 image with another colour profile than sRGB (damaged): the profile is not applied",
    )


@pytest.mark.parametrize("form", ["jpg", "png", "tif", "webp"])
def test_orientation_tags_are_followed(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").mkdir()
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8] = 255  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    options = {"quality": 95} if form == "jpg" else {"lossless": True} if form == "webp" else {}
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a" / f"x.{form}", exif=exif, **options)
    images = read(tmp_path, size=16)
    assert images.images()[0, :, 2].min() > 240 and images.images()[0, :, 13].max() < 15
    assert images.notes == ("1 image turned upright by EXIF orientation",)


def test_damaged_tags_are_no_reason_to_refuse_an_image(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.jpg", size=(64, 64), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\xff\xff")
    assert abs(int(read(tmp_path).images().mean()) - 100) <= 1


# --- pages, sizes, JPEG --------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["tif", "gif", "webp"])
def test_the_first_page_or_every_page(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a").mkdir()
    pages = [Image.new("L", (8, 8), level) for level in (0, 80, 200)]
    options = {"lossless": True} if ending == "webp" else {}
    pages[0].save(tmp_path / "a" / f"x.{ending}", save_all=True, append_images=pages[1:], **options)
    one = read(tmp_path, channels=1)
    assert [int(image.mean()) for image in one.images()] == [0]
    assert one.notes[-1] == "1 file of several pages or slices: the first page is used (data.slices=one)"
    every = read(tmp_path, channels=1, slices="all")
    assert np.abs(every.images().mean(axis=(1, 2, 3)) - [0, 80, 200]).max() <= 3
    assert every.notes[-1] == "1 file of several pages or slices gave 3 images (data.slices=all)"
    assert len({every.stamp(source) for source in every.sources}) == 3


def test_deep_pages_share_a_range(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    pages = [Image.fromarray(np.full((8, 8), level, np.uint16)) for level in (100, 4095)]
    pages[0].save(tmp_path / "a" / "x.tif", save_all=True, append_images=pages[1:])
    every = read(tmp_path, slices="all").images()
    assert every.max(axis=(1, 2, 3)).tolist() == [round(100 * 255 / 4095), 255]


def test_sizes_from_one_pixel_to_very_long_ones(tmp_path: Path) -> None:
    sizes = [(1, 1), (3, 97), (97, 3), (640, 32), (1, 30_000), (30_000, 2)]
    for size in sizes:
        write(tmp_path / "a" / f"{size[0]}x{size[1]}.png", size=size)
    assert (read(tmp_path, size=32).images() == 100).all()


def test_the_middle_of_a_very_long_image_is_the_middle(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8 * 101, 3), np.uint8)
    pixels[:, 8 * 50 : 8 * 51] = 255
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "x.png")
    assert (read(tmp_path).images() == 255).all()


def test_a_large_jpeg_is_decoded_smaller_and_hardly_differs(tmp_path: Path) -> None:
    y, x = np.mgrid[:1024, :1536]
    waves = np.stack([127 + 120 * np.sin(x / 40 + c) * np.cos(y / (25 + c)) for c in range(3)], -1)
    noise = np.random.default_rng(1).normal(0, 20, waves.shape)
    picture = Image.fromarray(np.clip(waves + noise, 0, 255).astype(np.uint8))
    (tmp_path / "a").mkdir()
    picture.save(tmp_path / "a" / "x.jpg", quality=90)
    images = read(tmp_path, size=32)
    with Image.open(tmp_path / "a" / "x.jpg") as opened:
        whole = opened.convert("RGB").resize((48, 32), Image.Resampling.BILINEAR).crop((8, 0, 40, 32))
    small = np.moveaxis(images.images()[0], 0, 2).astype(int)
    difference = np.abs(small - np.asarray(whole).astype(int))
    assert difference.mean() < 1 and difference.max() <= 6


def test_the_recipe_tells_all_options_apart(tmp_path: Path) -> None:
    png16(tmp_path / "a" / "x.png", ramp(4095))
    options = [{}, {"depth": 14}, {"background": "black"}, {"window": [1, 2]}, {"plane": "coronal"}, {"channels": 3}]
    recipes = {read(tmp_path, **one).recipe for one in options}
    assert len(recipes) == len(options)
    assert all(json.loads(recipe) for recipe in recipes)


def test_pillows_own_list_of_endings_but_for_what_runs_other_programs() -> None:
    assert {".jpg", ".jp2", ".gif", ".webp", ".tif", ".bmp", ".png", ".mpo", ".ppm", ".avif"} <= endings()
    assert not {".eps", ".ps", ".wmf", ".h5", ".mpg", ".pdf"} & endings()


def test_a_file_that_claims_to_be_another_does_not_run_a_program(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(SettingError, match="it is empty, damaged, or no image that Pillow reads"):
        read(tmp_path)


def test_content_decides_not_the_ending(tmp_path: Path) -> None:
    stream = BytesIO()
    Image.new("RGB", (8, 8), (9, 9, 9)).save(stream, "PNG")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_bytes(stream.getvalue())
    assert (read(tmp_path).images() == 9).all()

"""Folders as users have them: what is an image, what is a class, and what must neither hang nor multiply."""

import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from image_files import folder, png16, ramp, read, write

from fedphd.common.data.cache import keep
from fedphd.common.data.cache.keeping import UNUSED
from fedphd.common.data.decoding import formats
from fedphd.common.data.folder_images import FolderImages
from fedphd.common.errors import SettingError


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Three images of each of two classes."""
    for name in ("cat", "dog"):
        for number in range(3):
            write(tmp_path / name / f"{number}.png")
    return tmp_path


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(SettingError) as raised:
        read(path, **options)
    text = str(raised.value)
    assert text.startswith("data.path=") and len(text.splitlines()) == 1
    return text


def names(images: FolderImages, top: Path) -> list[str]:
    return [str(Path(source).relative_to(top)) for source in images.sources]


def test_hidden_and_system_files_are_no_data(pets: Path) -> None:
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (pets / "cat" / name).write_bytes(b"x")
    write(pets / ".ipynb_checkpoints" / "x.png")
    write(pets / "__MACOSX" / "cat" / "._x.png")
    images = read(pets)
    assert len(images) == 6 and images.class_names == ("cat", "dog")
    assert images.notes == (
        "7 hidden or system files or folders left out (.ipynb_checkpoints, __MACOSX, .DS_Store, ...)",
    )


def test_other_files_are_counted_and_named(pets: Path) -> None:
    for name in ("cat/notes.txt", "cat/more.txt", "dog/table.csv", "README", "scan.eps"):
        (pets / name).write_text("text")
    images = read(pets)
    assert len(images) == 6
    (note,) = images.notes
    assert note.startswith("5 files that are no images left out (.txt 2, ")
    assert ".csv 1" in note and "no ending 1" in note and "README, scan.eps" in note


def test_files_of_every_depth_of_folders_in_the_order_of_old(pets: Path) -> None:
    write(pets / "cat" / "b" / "x.png")
    write(pets / "cat" / "a" / "c" / "y.PNG")
    assert names(read(pets), pets)[:5] == ["cat/0.png", "cat/1.png", "cat/2.png", "cat/a/c/y.PNG", "cat/b/x.png"]


def test_a_link_to_a_folder_that_is_read_anyway_multiplies_nothing(pets: Path) -> None:
    (pets / "cat" / "up").symlink_to(pets)
    (pets / "dog" / "up").symlink_to(pets.parent)
    (pets / "dog" / "cat").symlink_to(pets / "cat")
    (pets / "cat" / "self").symlink_to(pets / "cat" / "self")
    images = read(pets)
    assert len(images) == 6
    assert "3 links to folders that are read already left out (up, cat)" in images.notes


def test_a_link_to_another_folder_is_followed_once(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "a" / "x.png")
    write(elsewhere / "y.png")
    (elsewhere / "back").symlink_to(elsewhere)
    (pets / "bird").symlink_to(elsewhere)
    (pets / "dog" / "again").symlink_to(elsewhere / "a")
    images = read(pets)
    assert images.class_names == ("bird", "cat", "dog")
    assert names(images, pets)[:2] == ["bird/y.png", "bird/a/x.png"]
    assert len(images) == 8


def test_a_link_to_an_image_that_is_read_anyway_multiplies_nothing(pets: Path) -> None:
    """... in which class it may be: the same image would be trained on twice, or held out as well."""
    for number in range(3):
        (pets / "cat" / f"link{number}.png").symlink_to(pets / "dog" / "0.png")
    (pets / "dog" / "link.png").symlink_to(pets / "cat" / "link0.png")
    images = read(pets)
    assert names(images, pets) == [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(3)]
    told = "4 links to images that are read already left out (link0.png, link1.png, link2.png, ...)"
    assert told in images.notes


def test_links_to_images_elsewhere_are_images_once(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = write(tmp_path_factory.mktemp("elsewhere") / "x.png")
    (pets / "cat" / "link.png").symlink_to(outside)
    (pets / "dog" / "link.png").symlink_to(outside)
    images = read(pets)
    assert len(images) == 7
    assert "cat/link.png" in names(images, pets)
    assert "1 link to an image that is read already left out (link.png)" in images.notes


def test_dangling_links_are_named(pets: Path) -> None:
    (pets / "cat" / "gone.png").symlink_to(pets / "nowhere.png")
    assert "1 link (cat/gone.png), which is called like an image, leads nowhere" in refusal(pets)


def test_pipes_and_sockets_are_never_opened(pets: Path) -> None:
    os.mkfifo(pets / "cat" / "pipe.png")
    os.mkfifo(pets / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(pets / "dog")  # paths of sockets are short
        listening.bind("s.png")
        os.chdir(before)
        images = read(pets)
    assert len(images) == 6
    assert "3 special files, as pipes and devices, left out (pipe, pipe.png, s.png)" in images.notes


def test_images_without_subfolders_are_one_class(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.png")
    images = read(tmp_path)
    assert (images.class_names, images.labels.tolist()) == (("image",), [0, 0, 0])
    assert images.notes == ("no subfolders: all 3 images are of one class, image",)


def test_images_beside_subfolders(pets: Path) -> None:
    write(pets / "stray.png")
    text = refusal(pets)
    assert "has 1 image (stray.png) beside 2 subfolders (cat, dog); put all images into one subfolder" in text


def test_folders_without_images(tmp_path: Path) -> None:
    assert "it has neither" in refusal(tmp_path)
    (tmp_path / "bird").mkdir()
    assert "it has none" in refusal(tmp_path)
    write(tmp_path / "cat" / "x.png")
    (tmp_path / "bird" / "notes.txt").write_text("no image")
    text = refusal(tmp_path)
    assert "there is none in bird; remove it, or set data.empty_classes=true" in text
    images = read(tmp_path, empty_classes=True)
    assert (images.class_names, images.labels.tolist()) == (("bird", "cat"), [1])
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "none")
    assert "cannot be read (Not a directory)" in refusal(tmp_path / "cat" / "x.png")


def test_a_folder_that_nobody_may_read(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pets / "dog").chmod(0)
    try:
        if os.access(pets / "dog", os.R_OK):
            pytest.skip("the superuser may read all")
        assert "dog: Permission denied" in refusal(pets)
    finally:
        (pets / "dog").chmod(0o700)


def test_names_of_classes(tmp_path: Path) -> None:
    write(tmp_path / "Äpfel" / "x.png")  # composed
    write(tmp_path / "O\u0308l" / "x.png")  # decomposed, as on a Mac
    write(tmp_path / "a $b$ {c} <d>" / "x.png")
    assert read(tmp_path).class_names == ("a $b$ {c} <d>", "Äpfel", "Öl")


def test_classes_that_many_would_take_for_one(tmp_path: Path) -> None:
    write(tmp_path / "Cat" / "x.png")
    write(tmp_path / "cat" / "x.png")
    assert "would take for one class, Cat and cat; rename one" in refusal(tmp_path)


def test_classes_that_differ_in_their_bytes_alone(tmp_path: Path) -> None:
    write(tmp_path / "Öl" / "x.png")
    write(tmp_path / "O\u0308l" / "x.png")
    assert "would take for one class, Öl and Öl" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", os.fsdecode(b"a\xff")])
def test_a_class_whose_name_cannot_be_shown(tmp_path: Path, name: str) -> None:
    write(tmp_path / name / "x.png")
    assert "has a subfolder whose name cannot be shown" in refusal(tmp_path)


def test_files_may_have_any_name(tmp_path: Path) -> None:
    for name in ("a b.png", "a\nb.png", "a'\"$(x).png", "-x.png", os.fsdecode(b"\xff\xfe.png"), "ü" * 60 + ".png"):
        write(tmp_path / "a" / name)
    images = read(tmp_path)
    assert (images.images() == 100).all() and len(images) == 6
    assert len(read(tmp_path, cache=tmp_path.parent / "cache")) == 6
    (tmp_path / "a" / os.fsdecode(b"\xff\n.png")).write_bytes(b"")
    assert "a/\\udcff\\n.png: cannot be read" in refusal(tmp_path)


# --- what cannot be read -------------------------------------------------------------------------


def test_every_file_that_cannot_be_read_is_told_of_at_once(pets: Path) -> None:
    (pets / "cat" / "0.png").write_bytes(b"")
    (pets / "dog" / "1.png").write_bytes(b"no image at all")
    whole = png16(pets / "dog" / "2.png", ramp(60000, 64)).read_bytes()
    (pets / "dog" / "2.png").write_bytes(whole[: len(whole) // 2])
    text = refusal(pets)
    assert f"{pets}/cat/0.png: cannot be read (it is empty, damaged, or no image that Pillow reads)" in text
    assert "nor can 2 more (1.png, 2.png); mend or remove these images" in text


def test_an_image_cut_short_is_found_by_the_check(pets: Path) -> None:
    for name in ("cat/1.png", "dog/0.png"):
        noise = np.random.default_rng(0).integers(0, 65536, (64, 64), np.uint16)
        whole = png16(pets / name, noise).read_bytes()
        (pets / name).write_bytes(whole[:2000])
    images = folder(pets, depth=16).read("train", 0)  # so that no value has to be looked at
    with pytest.raises(SettingError, match=r"cat/1\.png: cannot be read .*; nor can 1 more \(0\.png\)"):
        images.check()
    with pytest.raises(SettingError, match=r"cat/1\.png: cannot be read .*; nor can 1 more \(0\.png\)"):
        images.images()


def test_an_image_too_large_to_be_meant(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    write(pets / "cat" / "large.png", size=(30, 40))  # a warning, which nobody has to see
    assert len(read(pets).images()) == 7
    write(pets / "cat" / "larger.png", size=(100, 100))
    assert "larger.png: cannot be read (Image size (10000 pixels) exceeds limit" in refusal(pets)


# --- a survey is kept ----------------------------------------------------------------------------


def test_a_survey_is_kept_until_a_file_changes(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache")
    png16(pets / "cat" / "0.png", ramp(4095))
    first = read(pets, cache=cache)
    (kept,) = cache.glob("*.survey")
    assert kept.stat().st_mode & 0o777 == 0o600
    again = read(pets, cache=cache)
    assert (again.notes, again.recipe) == (first.notes, first.recipe)
    png16(pets / "cat" / "0.png", ramp(60000))
    changed = read(pets, cache=cache)
    assert "0 to 65535" in " ".join(changed.notes)
    assert len(list(cache.glob("*.survey"))) == 1
    next(cache.glob("*.survey")).write_text("torn")
    assert read(pets, cache=cache).notes == changed.notes


def test_a_survey_that_nobody_has_used_for_long_is_dropped(
    pets: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache, long_ago = tmp_path_factory.mktemp("cache"), time.time() - UNUSED - 60
    for plane in ("coronal", "sagittal"):
        read(pets, cache=cache, plane=plane)
    for kept in cache.glob("*.survey"):
        os.utime(kept, (long_ago, long_ago))
    read(pets, cache=cache, plane="coronal")
    (used,) = (kept for kept in cache.glob("*.survey") if kept.stat().st_mtime > long_ago + 1)
    keep(read(pets, cache=cache, plane="coronal"), cache, "name")
    assert list(cache.glob("*.survey")) == [used]


def test_a_survey_by_other_libraries_is_made_anew(
    pets: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    for versions in ({"pydicom": "3.0"}, {"pydicom": "3.1"}, {}):
        monkeypatch.setattr(formats, "_version", versions.get)
        formats.decoders.cache_clear()
        keep(read(pets, cache=cache), cache, "name")
    assert len(list(cache.glob("*.survey"))) == 3
    monkeypatch.undo()
    formats.decoders.cache_clear()
    assert "pillow" in formats.DECODERS and formats.decoders()[0] is not None


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [[40, 0], [40, -1], [40], "wide", [True, float("nan")], [float("inf"), 1]])
def test_a_window_that_is_none(tmp_path: Path, window: object) -> None:
    told = r"^data.window=.*: must be file, null, or \[centre, width\] with a width above 0$"
    with pytest.raises(SettingError, match=told):
        folder(tmp_path, window=window)
    assert folder(tmp_path, window=[40, 400]).window == (40.0, 400.0)


@pytest.mark.parametrize("classes", ["cat", [], [""], [True, False], ["cat", None], {"cat": 0}])
def test_classes_that_are_none(tmp_path: Path, classes: object) -> None:
    with pytest.raises(SettingError, match=r"^data.classes=.*: must be a list of names, \[cat,dog\], or null$"):
        folder(tmp_path, classes=classes)
    with pytest.raises(SettingError, match=r"^data.classes=\[a,a\]: has a name twice"):
        folder(tmp_path, classes=["a", "a"])

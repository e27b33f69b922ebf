"""The cache of decoded images: made once, shared, and made anew when an image or the file itself changes."""

import logging
import os
import shutil
import stat
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import small_config
from PIL import Image

import fedphd.common.data.cache.keeping
from fedphd.common.data import DATA_SETS, ArrayImages, DataSet, ImageSet
from fedphd.common.data.cache import keep
from fedphd.common.data.cache.keeping import UNUSED
from fedphd.common.errors import SettingError

NAME = "these images"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images of two classes."""
    for number in range(10):
        save(tmp_path / "own" / "ab"[number % 2] / f"{number}.png", number)
    return tmp_path / "own"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "state" / "images"


def save(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8)).save(path)


def found(folder: Path, **options: object) -> ImageSet:
    """List the images, as each process does anew."""
    return DATA_SETS.read({"kind": "folder", "path": folder, "size": 8, **options}).read("train", 0)


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.pixels"))


def test_kept_images_are_the_decoded_ones(folder: Path, cache: Path) -> None:
    images = found(folder)
    for _ in range(2):  # made, then mapped
        kept = keep(found(folder), cache, NAME)
        np.testing.assert_array_equal(kept.whole(), images.images())
        np.testing.assert_array_equal(kept.labels, images.labels)
        assert (kept.shape, kept.class_names) == (images.shape, images.class_names)
        assert isinstance(kept.whole().base, np.memmap)
    some = np.asarray([3, 0])
    np.testing.assert_array_equal(kept.images(some), images.images(some))


def test_each_image_is_decoded_once(folder: Path, cache: Path, decoded: Counter[str]) -> None:
    for _ in range(3):
        keep(found(folder), cache, NAME).images()
    assert decoded == {f"{number}.png": 1 for number in range(10)}


def test_in_blocks_it_is_the_same(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.common.data.cache.keeping, "BLOCK", 3 * 8 * 8 * 3 + 1)  # three images
    np.testing.assert_array_equal(keep(found(folder), cache, NAME).whole(), found(folder).images())


def test_processes_that_want_it_at_once_make_it_once(folder: Path, cache: Path, decoded: Counter[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: keep(found(folder), cache, NAME).whole(), range(4)))
    assert set(decoded.values()) == {1}
    for one in kept:
        np.testing.assert_array_equal(one, kept[0])


def test_it_is_the_owners_only(folder: Path, cache: Path) -> None:
    before = os.umask(0o022)
    try:
        keep(found(folder), cache, NAME)
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    for file in cache.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_size_is_that_of_the_pixels(folder: Path, cache: Path) -> None:
    keep(found(folder), cache, NAME)
    [file] = files(cache)
    assert 0 < file.stat().st_size - 10 * 3 * 8 * 8 < 200  # what the pages say, and a line


# --- what changes --------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["other content", "newer", "added", "removed", "renamed", "other class"])
def test_a_change_of_the_images_is_noticed(folder: Path, cache: Path, decoded: Counter[str], change: str) -> None:
    before = keep(found(folder), cache, NAME).whole()
    copy = before.copy()
    [old] = files(cache)
    match change:
        case "other content":
            save(folder / "a" / "0.png", 99)
        case "newer":
            os.utime(folder / "a" / "0.png", (1, 1))
        case "added":
            save(folder / "a" / "new.png", 99)
        case "removed":
            (folder / "a" / "0.png").unlink()
        case "renamed":
            (folder / "a" / "0.png").rename(folder / "a" / "9.png")
        case "other class":
            (folder / "a" / "0.png").rename(folder / "b" / "0.png")
    decoded.clear()
    after = keep(found(folder), cache, NAME)
    assert sum(decoded.values()) == len(found(folder))
    np.testing.assert_array_equal(after.whole(), found(folder).images())
    np.testing.assert_array_equal(after.labels, found(folder).labels)
    [new] = files(cache)  # what the images were is removed
    assert new != old
    np.testing.assert_array_equal(before, copy)  # who has mapped it keeps it


@pytest.mark.parametrize("options", [{"size": 4}, {"limit": None, "size": 6}])
def test_other_settings_have_files_of_their_own(folder: Path, cache: Path, options: dict[str, object]) -> None:
    keep(found(folder), cache, NAME)
    other = keep(found(folder, **options), cache, "another name")
    assert other.shape[1] == options["size"]
    assert len(files(cache)) == 2
    np.testing.assert_array_equal(keep(found(folder), cache, NAME).whole(), found(folder).images())


def test_the_recipe_is_part_of_the_key(folder: Path, cache: Path) -> None:
    keep(found(folder), cache, NAME)
    smaller = keep(found(folder, size=4), cache, NAME)
    np.testing.assert_array_equal(smaller.whole(), found(folder, size=4).images())
    assert len(files(cache)) == 1


def test_the_same_images_under_another_name_take_no_more_room(folder: Path, cache: Path, decoded: Counter[str]) -> None:
    kept = [keep(found(folder), cache, name).whole() for name in ("seed 0", "seed 1")]
    np.testing.assert_array_equal(*kept)
    assert set(decoded.values()) == {1}
    one, other = files(cache)
    assert one.stat().st_ino == other.stat().st_ino
    save(folder / "a" / "0.png", 99)
    np.testing.assert_array_equal(keep(found(folder), cache, "seed 0").whole(), found(folder).images())
    assert len(files(cache)) == 2


def test_what_nobody_has_used_for_long_is_dropped(folder: Path, cache: Path) -> None:
    for size, name in ((8, "old"), (4, "used")):
        keep(found(folder, size=size), cache, name)
    long_ago = time.time() - UNUSED - 60
    for file in files(cache):
        os.utime(file, (long_ago, long_ago))
    keep(found(folder, size=4), cache, "used")
    keep(found(folder, size=5), cache, "new")
    sizes = sorted(file.stat().st_size for file in files(cache))
    assert [size // 300 for size in sizes] == [1, 2]  # of 4x4 and 5x5 pixels, and not of 8x8


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["torn", "empty", "flipped bit", "flipped bit of the seal", "longer", "of others"])
def test_a_damaged_file_is_made_anew(folder: Path, cache: Path, damage: str) -> None:
    keep(found(folder), cache, NAME)
    [file] = files(cache)
    whole = file.read_bytes()
    match damage:
        case "torn":
            file.write_bytes(whole[:700])
        case "empty":
            file.write_bytes(b"")
        case "flipped bit":
            file.write_bytes(whole[:700] + bytes([whole[700] ^ 1]) + whole[701:])
        case "flipped bit of the seal":
            file.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        case "longer":
            file.write_bytes(whole + b"\0")
        case "of others":
            save(folder / "a" / "0.png", 99)
            keep(found(folder), cache, NAME)
            [other] = files(cache)
            other.write_bytes(whole)
            whole = None
    kept = keep(found(folder), cache, NAME)
    np.testing.assert_array_equal(kept.whole(), found(folder).images())
    [file] = files(cache)
    assert whole is None or file.read_bytes() == whole


def test_a_draft_of_a_killed_process_is_removed(folder: Path, cache: Path) -> None:
    keep(found(folder), cache, NAME)
    [file] = files(cache)
    draft = file.with_name(f".{file.name}.1.draft")
    file.rename(draft)
    keep(found(folder), cache, NAME)
    assert not draft.exists()
    assert len(files(cache)) == 1


def no_room(_path: Path) -> SimpleNamespace:
    return SimpleNamespace(free=1919)


def full(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("full_disk", ["known before", "while writing"])
def test_without_room_images_are_decoded_when_they_are_asked_for(
    folder: Path,
    cache: Path,
    full_disk: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if full_disk == "known before":
        monkeypatch.setattr(shutil, "disk_usage", no_room)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with caplog.at_level(logging.WARNING):
        kept = keep(found(folder), cache, NAME)
    np.testing.assert_array_equal(kept.whole(), found(folder).images())
    [line] = caplog.messages
    assert line.startswith(f"decoded images cannot be kept in {cache} (")
    assert "\n" not in line
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_a_place_that_is_no_folder_is_told_of(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    kept = keep(found(folder), tmp_path / "file", NAME)
    np.testing.assert_array_equal(kept.whole(), found(folder).images())
    assert "cannot be kept" in caplog.text


def test_images_that_cannot_be_decoded_are_named_and_nothing_is_kept(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fedphd.common.data.cache.keeping, "BLOCK", 3 * 8 * 8 * 3)  # three images
    for path in (folder / "a" / "2.png", folder / "b" / "7.png"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SettingError, match=r"^data\.path=.*a/2\.png: cannot be read .*; nor can 1 more \(7\.png\)"):
        keep(found(folder), cache, NAME)
    assert [path for path in cache.iterdir() if path.suffix != ".lock"] == []


def test_an_image_that_has_gone_since_it_was_listed_is_named(folder: Path, cache: Path) -> None:
    images = found(folder)
    (folder / "b" / "3.png").unlink()
    with pytest.raises(SettingError, match=r"^data\.path=.*b/3\.png: cannot be read .*No such file"):
        keep(images, cache, NAME)


# --- where ---------------------------------------------------------------------------------------


def test_what_needs_no_decoding_is_not_kept(cache: Path) -> None:
    images = ArrayImages(np.zeros(3, np.int64), ("a",), (1, 2, 2), np.zeros((3, 1, 2, 2), np.uint8))
    assert keep(images, cache, NAME) is images
    assert not cache.exists()


def test_without_a_cache_nothing_is_kept(folder: Path) -> None:
    images = found(folder)
    assert keep(images, None, NAME) is images


def options(folder: Path, *more: str) -> list[str]:
    colour = ["model.unet.in_channels=3", "model.unet.out_channels=3"]
    return ["data=folder", f"data.path={folder}", "data.size=8", *colour, *more]


def data_of(folder: Path, *more: str) -> DataSet:
    return small_config(*options(folder, *more)).data


def test_the_place_is_open_by_default_and_the_users_otherwise(folder: Path, tmp_path: Path, cache: Path) -> None:
    default = data_of(folder)
    assert default.kept_at is None
    assert default.keeping_at(cache).kept_at == cache
    own = data_of(folder, f"data.cache={tmp_path}/mine")
    assert own.keeping_at(cache).kept_at == tmp_path / "mine"
    assert data_of(folder, "data.cache=null").keeping_at(cache).kept_at is None
    digits = small_config().data
    assert digits.keeping_at(cache) == digits


def test_a_place_among_the_images_is_refused_or_not_taken(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SettingError, match=r"^data\.cache=.*/a/cache: lies among the images in .*; use another folder"):
        small_config(*options(folder, f"data.cache={folder}/a/cache"))
    assert data_of(folder).keeping_at(folder / "runs" / "images").kept_at is None
    assert "lies among the images" in caplog.text


def test_where_clients_have_disks_of_their_own_the_root_names_no_place_on_them(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^data\.cache=.*below its state-dir; use auto or null$"):
        small_config(*options(folder, "runtime=processes", f"data.cache={tmp_path}/mine"))

"""LSUN's churches in a database of theirs, or in folders."""

import os
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fedphd.common.data import DATA_SETS, load
from fedphd.common.errors import SettingError

RNG = np.random.default_rng(11)


def churches(root, size=16):
    return DATA_SETS.read({"kind": "lsun_church", "root": root, "size": size})


def encoded():
    """A picture as LSUN stores it: WebP, the shorter side 256; here without loss, and smaller."""
    pixels = RNG.integers(0, 256, (16, 24, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "webp", lossless=True)
    return pixels, file.getvalue()


def middle(pixels):
    return np.moveaxis(pixels[:, 4:20], 2, 0)


def test_exported_images(tmp_path):
    expected = {}
    for part, files in (("train", ["b/1.webp", "a/2.webp", "a/0.webp"]), ("val", ["0.webp"])):
        for name in files:
            path = tmp_path / f"church_outdoor_{part}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            expected[part, name], content = encoded()
            path.write_bytes(content)
    (tmp_path / "church_outdoor_train" / "notes.txt").write_text("no image")
    train, holdout = (load(churches(tmp_path), split, 0) for split in ("train", "holdout"))
    assert (train.labels.tolist(), train.class_names, train.shape) == ([0, 0, 0], ("church",), (3, 16, 16))
    in_order = [middle(expected["train", name]) for name in ("a/0.webp", "a/2.webp", "b/1.webp")]
    np.testing.assert_array_equal(train.images(), in_order)
    np.testing.assert_array_equal(holdout.images(), [middle(expected["val", "0.webp"])])


def test_the_database(tmp_path):
    lmdb = pytest.importorskip("lmdb", reason="reading LSUN's databases needs the package lmdb (the extra lsun)")
    written = {}
    place = str(tmp_path / "church_outdoor_train_lmdb")
    with lmdb.open(place, map_size=2**20) as environment, environment.begin(write=True) as transaction:
        for key in (b"0f3c", b"a7b2", b"03d1"):
            written[key], content = encoded()
            transaction.put(key, content)
        transaction.put(b"ffff", b"no image")
    images = load(churches(tmp_path), "train", 0)
    assert (len(images), images.shape) == (4, (3, 16, 16))
    chosen = images.images(np.array([1, 2, 0]))
    np.testing.assert_array_equal(chosen, [middle(written[key]) for key in (b"0f3c", b"a7b2", b"03d1")])
    stamps = [images.stamp(source) for source in images.sources]
    assert len(set(stamps)) == 4
    os.utime(tmp_path / "church_outdoor_train_lmdb" / "data.mdb", (1, 1))
    assert not set(stamps) & {images.stamp(source) for source in images.sources}
    with pytest.raises(SettingError, match=r"^data.root=.*church_outdoor_train_lmdb: ffff: cannot be read"):
        images.images()


def test_a_database_without_the_library(tmp_path, monkeypatch):
    (tmp_path / "church_outdoor_train_lmdb").mkdir()
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(SettingError, match=r"^data=lsun_church: .*; install the extra: pip install 'fedphd\[lsun\]'"):
        load(churches(tmp_path), "train", 0)


@pytest.mark.parametrize(("split", "part"), [("train", "train"), ("holdout", "val")])
def test_neither_is_there(tmp_path, split, part):
    told = rf"^data.root=.*: must hold church_outdoor_{part}_lmdb, or church_outdoor_{part} with images in it$"
    with pytest.raises(SettingError, match=told):
        load(churches(tmp_path), split, 0)

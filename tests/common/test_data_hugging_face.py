"""Images that the Hugging Face library reads, here from folders: saved by it, of files, of parquet."""

import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from fedphd.common.config import compose
from fedphd.common.data import DATA_SETS, load
from fedphd.common.data.cache import keep
from fedphd.common.errors import SettingError

datasets = pytest.importorskip("datasets", reason="needs the extra hugging-face")
RNG = np.random.default_rng(13)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def hub(path, **options):
    held_out = {} if "holdout_split" in options else {"holdout": 0}
    return DATA_SETS.read({"kind": "hugging_face", "name": str(path), "size": 8, **held_out, **options})


def pictures(count, *, grey=False):
    return RNG.integers(0, 256, (count, 8, 8) if grey else (count, 8, 8, 3), np.uint8)


def table(pixels, labels, kind=None, column="label"):
    """A split with one image per row."""
    features = datasets.Features({"image": datasets.Image(), column: kind or datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"image": [Image.fromarray(image) for image in pixels], column: labels}
    return datasets.Dataset.from_dict(rows, features=features)


def channels_first(pixels):
    return np.moveaxis(pixels, 3, 1)


@pytest.fixture
def saved(tmp_path):
    pixels = {"train": pictures(6), "test": pictures(3)}
    labels = {"train": [0, 1, 1, 0, 1, 0], "test": [1, 1, 0]}
    splits = {name: table(pixels[name], labels[name]) for name in pixels}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved", pixels, labels


def test_a_saved_set_with_two_splits(saved):
    path, pixels, labels = saved
    for split, name in (("train", "train"), ("holdout", "test")):
        images = load(hub(path, holdout_split="test"), split, 0)
        assert (images.shape, images.class_names) == ((3, 8, 8), ("cat", "dog"))
        assert images.labels.tolist() == labels[name]
        np.testing.assert_array_equal(images.images(), channels_first(pixels[name]))
        chosen = np.array([2, 0])
        np.testing.assert_array_equal(images.subset(chosen).images(), channels_first(pixels[name][chosen]))


def test_decoded_images_are_kept_until_the_table_changes(saved, tmp_path):
    path, _, labels = saved
    config = hub(path, holdout_split="test")
    for _ in range(2):
        images = config.read("train", 0)  # opened anew, as by another process
        np.testing.assert_array_equal(keep(images, tmp_path / "kept", "name").images(), images.images())
    assert len(list((tmp_path / "kept").glob("*.pixels"))) == 1
    known = next((tmp_path / "kept").glob("*.pixels"))
    written = known.stat()
    keep(config.read("train", 0), tmp_path / "kept", "name")
    assert known.stat().st_ino == written.st_ino
    shutil.rmtree(path)
    other = {name: table(pictures(len(labels[name])), labels[name]) for name in labels}
    datasets.DatasetDict(other).save_to_disk(path)
    images = config.read("train", 0)
    np.testing.assert_array_equal(keep(images, tmp_path / "kept", "name").images(), images.images())
    assert not known.exists()


def test_without_a_second_split_a_seeded_share_is_held_out(saved):
    path, pixels, _ = saved
    everything = {image.tobytes() for image in channels_first(pixels["train"])}
    seen = set()
    for seed in range(5):
        train, holdout = (load(hub(path, holdout=0.34), split, seed) for split in ("train", "holdout"))
        assert (len(train), len(holdout)) == (4, 2)
        held_out = {image.tobytes() for image in holdout.images()}
        assert {image.tobytes() for image in train.images()} | held_out == everything
        seen.add(frozenset(held_out))
    assert len(seen) > 1


def test_a_folder_of_image_files(tmp_path):
    pixels = pictures(4)
    for number, (name, image) in enumerate(zip(("cat", "dog", "cat", "dog"), pixels, strict=True)):
        path = tmp_path / "files" / ("train" if number < 2 else "test") / name / f"{number}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(image).save(path)
    config = hub(tmp_path / "files", holdout_split="test")
    train, holdout = (load(config, split, 0) for split in ("train", "holdout"))
    assert train.class_names == holdout.class_names == ("cat", "dog")
    np.testing.assert_array_equal(np.concatenate([train.images(), holdout.images()]), channels_first(pixels))
    assert load(config.at(tmp_path / "files"), "train", 0).labels.tolist() == [0, 1]


def test_grey_images_of_words_as_classes_in_parquet_files(tmp_path):
    pixels = pictures(5, grey=True)
    words = ["sun", "moon", "sun", "star", "moon"]
    folder = tmp_path / "parquet"
    folder.mkdir()
    for part, rows in (("train", slice(0, 3)), ("validation", slice(3, 5))):
        kept = table(pixels[rows], words[rows], datasets.Value("string"), "what")
        kept.to_parquet(folder / f"{part}-00000-of-00001.parquet")
    options = {"holdout_split": "validation", "label": "what", "channels": 1}
    train, holdout = (load(hub(folder, **options), split, 0) for split in ("train", "holdout"))
    assert train.class_names == holdout.class_names == ("moon", "star", "sun")
    assert (train.labels.tolist(), holdout.labels.tolist()) == ([2, 0, 2], [1, 0])
    np.testing.assert_array_equal(holdout.images()[:, 0], pixels[3:])


def test_words_in_any_form_of_unicode_are_one_class(tmp_path):
    table(pictures(3), ["O\u0308l", "cat", "\u00d6l"], datasets.Value("string")).save_to_disk(tmp_path / "saved")
    images = load(hub(tmp_path / "saved"), "train", 0)
    assert (images.class_names, images.labels.tolist()) == (("cat", "\u00d6l"), [1, 0, 1])


def test_images_of_more_than_8_bits_are_refused(tmp_path):
    """... since a 12-bit scanner's white, 4095 of 65535, would become almost black."""
    deep = [Image.fromarray(np.full((8, 8), 4095, np.uint16)), Image.fromarray(pictures(1, grey=True)[0])]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat"])})
    datasets.Dataset.from_dict({"image": deep, "label": [0, 0]}, features=features).save_to_disk(tmp_path / "saved")
    images = load(hub(tmp_path / "saved"), "train", 0)
    told = r"^data=hugging_face: .*saved, row 0 has more than 8 bits a channel, .* use data=folder$"
    for ask in (images.images, images.check):
        with pytest.raises(SettingError, match=told):
            ask()
    images.images(np.array([1]))


def test_images_without_classes_are_of_one(saved):
    images = load(hub(saved[0], label=None), "train", 0)
    assert (images.class_names, images.labels.tolist()) == (("image",), [0] * 6)


def test_an_image_that_cannot_be_decoded(tmp_path):
    good, kind = Image.fromarray(pictures(1)[0]), datasets.ClassLabel(names=["cat"])
    rows = {"image": [good, {"bytes": b"no image", "path": None}], "label": [0, 0]}
    features = datasets.Features({"image": datasets.Image(), "label": kind})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    images = load(hub(tmp_path / "saved"), "train", 0)
    images.images(np.array([0]))
    with pytest.raises(SettingError, match=r"^data.name=.*saved, row 1: cannot be read"):
        images.images()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"image": "picture"}, r"^data.image=picture: train has no such column; it has image, label$"),
        ({"label": "kind"}, r"^data.label=kind: train has no such column; it has image, label$"),
        ({"image": "label"}, r"^data.image=label: is no column of images but of ClassLabel"),
        ({"label": "image"}, r"^data.label=image: is no column of classes but of Image.*; use null for one class$"),
        ({"train_split": "all"}, r"^data.name=.*saved: split all cannot be read \(it has the splits train, test"),
        ({"subset": "small"}, r"^data.name=.*saved: split train of small cannot be read"),
    ],
)
def test_a_set_that_is_not_as_told(saved, options, told):
    with pytest.raises(SettingError, match=told) as caught:
        load(hub(saved[0], **options), "train", 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "labels"), [(None, [0, -1]), (datasets.Value("int64"), [3, None])])
def test_rows_without_a_class(tmp_path, kind, labels):
    table(pictures(2), labels, kind).save_to_disk(tmp_path / "saved")
    with pytest.raises(SettingError, match=r"^data.label=label: has rows without a class"):
        load(hub(tmp_path / "saved"), "train", 0)


def test_a_folder_with_nothing_to_read(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingError, match=r"^data.name=.*empty: split train cannot be read") as caught:
        load(hub(tmp_path / "empty"), "train", 0)
    assert "\n" not in str(caught.value)


def test_what_is_known_before_anything_is_read(saved, tmp_path, monkeypatch):
    def composed(*more):
        return compose(["data=hugging_face", *more]).data

    with pytest.raises(SettingError, match=r"^data.name=null: data=hugging_face needs a hub's id or a folder"):
        composed()
    with pytest.raises(SettingError, match=r"^data.holdout_split=train: is what is trained on"):
        composed("data.name=some/set", "data.holdout_split=train")
    with pytest.raises(SettingError, match=r"^data.holdout=0.2: has no effect with data.holdout_split=test; "):
        composed("data.name=some/set", "data.holdout=0.2")
    with pytest.raises(SettingError, match=r"^data.holdout=null: .* give the share to hold out; 0 for none"):
        composed("data.name=some/set", "data.holdout_split=null")
    assert composed("data.name=some/set", "data.holdout_split=null", "data.holdout=0.2").holdout == 0.2
    with pytest.raises(SettingError, match=r"^data.revision=v1: a folder has no revisions"):
        composed(f"data.name={saved[0]}", "data.revision=v1")
    with pytest.raises(SettingError, match=r"^data.name=.*/nowhere: no such file or folder"):
        composed(f"data.name={tmp_path}/nowhere").check_there()
    hubs = composed("data.name=some/set", "data.revision=v1")
    hubs.check_there()
    assert (hubs.name, hubs.at(tmp_path).name, hubs.at(tmp_path).revision) == ("some/set", str(tmp_path), None)
    monkeypatch.chdir(tmp_path)
    assert composed("data.name=saved").name == str(saved[0])


def test_without_the_library(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    told = r"^data=hugging_face: .*; install the extra: pip install 'fedphd\[hugging-face\]'"
    with pytest.raises(SettingError, match=told):
        load(hub(saved[0]), "train", 0)

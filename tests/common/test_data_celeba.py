"""CelebA in its makers' files: which images are in which split, of which class, and how they are cut."""

import logging

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Resize

from fedphd.common.data import DATA_SETS, load
from fedphd.common.errors import SettingError

NAMES = ["5_o_Clock_Shadow", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Male", "Wearing_Hat", "Young"]
# What an image has, in which part (0 train, 1 validation, 2 test), its class of 4, and of 16 (None: left out).
FACES = [
    ({"Male", "Young", "Black_Hair"}, 0, 3, 0),
    ({"Young", "Blond_Hair"}, 0, 1, 10),
    ({"Male", "Gray_Hair"}, 0, 2, 7),
    ({"Wearing_Hat"}, 0, 0, None),
    ({"Young", "Brown_Hair", "Black_Hair"}, 1, 1, 8),
    ({"Male", "Young", "Wearing_Hat"}, 0, 3, None),
    ({"Brown_Hair", "Gray_Hair"}, 2, 0, 13),
    ({"Young", "Gray_Hair", "Blond_Hair", "Black_Hair"}, 2, 1, 8),
]
PIXELS = np.random.default_rng(5).integers(0, 256, (len(FACES), 218, 178, 3), np.uint8)


def write_lists(folder, faces=FACES):
    """The two lists as CelebA has them: their number, the names, and columns aligned by spaces."""
    files = [f"{number:06}.jpg" for number in range(1, len(faces) + 1)]
    rows = [
        f"{file} " + " ".join(" 1" if name in has else "-1" for name in NAMES)
        for file, (has, *_) in zip(files, faces, strict=True)
    ]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(rows)), " ".join(NAMES) + " ", *rows, ""]))
    parts = [f"{file} {part}\n" for file, (_, part, *_) in zip(files, faces, strict=True)]
    (folder / "list_eval_partition.txt").write_text("".join(parts))
    return files


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    for file, pixels in zip(write_lists(folder), PIXELS, strict=True):
        Image.fromarray(pixels).save(folder / "img_align_celeba" / file, quality=95)
    return tmp_path


def celeba(root, **options):
    return DATA_SETS.read({"kind": "celeba", "root": root, **options})


def numbers(images):
    return [int(source[-10:-4]) - 1 for source in images.sources]


def test_the_official_split_and_fedphds_classes(root):
    train, holdout = (load(celeba(root, size=8), split, 0) for split in ("train", "holdout"))
    assert (numbers(train), numbers(holdout)) == ([0, 1, 2, 3, 5], [6, 7])
    for images in (train, holdout):
        assert images.labels.tolist() == [FACES[number][2] for number in numbers(images)]
        assert images.class_names == ("female, old", "female, young", "male, old", "male, young")
        assert images.shape == (3, 8, 8)


def test_feddiffuses_classes_leave_out_who_has_no_hair_colour_and_say_so(root, caplog):
    caplog.set_level(logging.INFO, "fedphd")
    train, holdout = (load(celeba(root, size=8, labels="male_young_hair"), split, 0) for split in ("train", "holdout"))
    assert (numbers(train), numbers(holdout)) == ([0, 1, 2], [6, 7])
    for images in (train, holdout):
        assert images.labels.tolist() == [FACES[number][3] for number in numbers(images)]
        assert len(images.class_names) == 16
    assert train.class_names[train.labels[1]] == "female, young, blond hair"
    assert [record.getMessage() for record in caplog.records] == [
        "celeba: 2 of 5 images have no hair colour and are left out"
    ]


@pytest.mark.parametrize("crop", [None, 178, 140])
def test_the_authors_two_ways_to_cut(root, crop):
    """FedPhD resizes 178x218 to 64x78 and cuts the middle; FedDiffuse cuts 178x178 and resizes that."""
    images = load(celeba(root, crop=crop), "train", 0)
    pixels = images.images(np.array([1, 0]))
    for image, number in zip(pixels, (1, 0), strict=True):
        with Image.open(images.sources[number]) as file:
            whole = file if crop is None else CenterCrop(crop)(file)
            expected = np.asarray(CenterCrop(64)(Resize(64)(whole)))
        np.testing.assert_array_equal(np.moveaxis(image, 0, 2), expected)


def test_an_image_that_is_not_there(root):
    (root / "celeba" / "img_align_celeba" / "000003.jpg").unlink()
    images = load(celeba(root), "train", 0)
    images.images(np.array([0, 1]))
    with pytest.raises(SettingError, match=r"^data.root=.*000003.jpg: cannot be read .*; mend or remove this image$"):
        images.images()


@pytest.mark.parametrize("missing", ["img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"])
def test_a_missing_part(root, missing):
    (root / "celeba" / missing).rename(root / "elsewhere")
    with pytest.raises(SettingError, match=r"^data.root=.*: must hold celeba/ with img_align_celeba, .*download=true$"):
        load(celeba(root), "train", 0)


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("list_attr_celeba.txt", lambda text: text.replace("Male", "Mail"), "'Male' is not in list"),
        ("list_attr_celeba.txt", lambda text: "\n".join(text.split("\n")[:5]), "do not list the same files"),
        ("list_attr_celeba.txt", lambda _: "", "list_attr_celeba.txt cannot be read"),
        ("list_eval_partition.txt", lambda text: text.replace(" 0", ""), "list_eval_partition.txt cannot be read"),
    ],
)
def test_lists_that_are_damaged(root, file, change, told):
    path = root / "celeba" / file
    path.write_text(change(path.read_text()))
    with pytest.raises(SettingError, match=rf"^data.root=.*{told}.*; give the folder of CelebA's original lists$"):
        load(celeba(root), "train", 0)


@pytest.mark.parametrize(("option", "value"), [("crop", 179), ("crop", 0), ("labels", "smiling"), ("size", 0)])
def test_options_that_make_no_sense(tmp_path, option, value):
    with pytest.raises(SettingError, match=rf"^data.{option}={value}: "):
        celeba(tmp_path, **{option: value})

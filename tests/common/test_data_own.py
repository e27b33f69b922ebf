"""Images of the user's own: NumPy archives and folders of image files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedphd.common.data import DATA_SETS, DataSet, load
from fedphd.common.errors import SettingError

RNG = np.random.default_rng(7)


def data_set(kind: str, **options: object) -> DataSet:
    return DATA_SETS.read({"kind": kind, **options})


def random_pixels(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def save(path, **arrays):
    np.savez_compressed(path, **arrays)
    return data_set("npz", path=path, holdout=0.25)


# --- npz -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_npz_with_its_own_test_images(tmp_path, shape):
    arrays = {
        "train_x": random_pixels(20, *shape),
        "train_y": np.arange(20, dtype=np.uint8) % 4,
        "test_x": random_pixels(6, *shape),
        "test_y": np.full(6, 4),
    }
    config = save(tmp_path / "own.npz", **arrays)
    channels = (*shape, 1)[2]
    for split, part in (("train", "train"), ("holdout", "test")):
        images = load(config, split, 0)
        assert images.shape == (channels, 5, 7)
        assert images.class_names == ("0", "1", "2", "3", "4")
        assert images.labels.dtype == np.int64
        np.testing.assert_array_equal(images.labels, arrays[f"{part}_y"])
        expected = arrays[f"{part}_x"].reshape(-1, 5, 7, channels)
        for channel in range(channels):
            np.testing.assert_array_equal(images.images()[:, channel], expected[..., channel])


def test_npz_without_test_images_holds_out_a_seeded_share(tmp_path):
    numbered = np.zeros((40, 2, 2), np.uint8)
    numbered[:] = np.arange(40)[:, None, None]
    config = save(tmp_path / "own.npz", train_x=numbered, train_y=np.arange(40) % 5)
    seen = {}
    for seed in (0, 1):
        parts = [load(config, split, seed) for split in ("train", "holdout")]
        train, holdout = (part.images()[:, 0, 0, 0].tolist() for part in parts)
        assert len(holdout) == 10  # a quarter of 40
        assert sorted(train + holdout) == list(range(40))
        assert train == sorted(train)
        for part, numbers in zip(parts, (train, holdout), strict=True):
            assert part.labels.tolist() == [number % 5 for number in numbers]
        seen[seed] = holdout
    assert seen[0] != seen[1]


def test_npz_limit_never_reaches_into_the_held_out_images(tmp_path):
    numbered = np.zeros((40, 2, 2), np.uint8)
    numbered[:] = np.arange(40)[:, None, None]
    config = save(tmp_path / "own.npz", train_x=numbered, train_y=np.zeros(40, int)).model_copy(update={"limit": 30})
    train, holdout = (set(load(config, split, 0).images()[:, 0, 0, 0]) for split in ("train", "holdout"))
    assert train | holdout == set(range(40))
    with pytest.raises(SettingError, match=r"^data.limit=31: there are 30"):
        load(config.model_copy(update={"limit": 31}), "train", 0)


GOOD = {"train_x": np.zeros((4, 2, 2), np.uint8), "train_y": np.arange(4)}


@pytest.mark.parametrize(
    ("holdout", "split", "told"),
    [
        (0.0, "holdout", "holds out no image of 4; use a larger share"),
        (0.1, "holdout", "holds out no image of 4"),
        (0.9, "train", "leaves no image to train on of 4; use a smaller share"),
    ],
)
def test_holdout_share_without_an_image(tmp_path, holdout, split, told):
    config = save(tmp_path / "own.npz", **GOOD).model_copy(update={"holdout": holdout})
    with pytest.raises(SettingError, match=f"^data.holdout={holdout}: {told}"):
        load(config, split, 0)


# --- folder --------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """Six files in two classes: sizes and modes differ."""
    for number, (name, mode, size) in enumerate(
        [
            ("cat/a.png", "RGB", (8, 8)),
            ("cat/b.png", "L", (16, 8)),
            ("cat/c.png", "RGBA", (8, 24)),
            ("dog/a.png", "P", (4, 4)),
            ("dog/b.jpg", "RGB", (9, 8)),
            ("dog/c.png", "RGB", (8, 8)),
        ]
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", size, 40 * number).convert(mode).save(tmp_path / name)
    return data_set("folder", path=tmp_path, size=8, holdout=0.34)


def test_folder_holds_out_a_share_and_decodes_every_mode(pictures):
    parts = [load(pictures, split, 0) for split in ("train", "holdout")]
    assert [len(part) for part in parts] == [4, 2]  # 6 * 0.34 = 2.04
    levels = {}
    for part in parts:
        assert part.shape == (3, 8, 8)
        assert part.class_names == ("cat", "dog")
        pixels = part.images()
        assert pixels.shape == (len(part), 3, 8, 8)
        assert pixels.dtype == np.uint8
        for image, label in zip(pixels, part.labels, strict=True):
            assert np.ptp(image) <= 2  # JPEG may be a level off
            levels[round(image.mean() / 40)] = int(label)
    assert levels == {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1}


def test_folder_decodes_only_the_asked_images(pictures):
    train = load(pictures, "train", 0)
    whole = train.images()
    Path(train.sources[1]).write_bytes(b"no image")
    np.testing.assert_array_equal(train.images(np.array([3, 0])), whole[[3, 0]])
    with pytest.raises(SettingError, match=rf"^data.path={train.sources[1]}: cannot be read .* mend or remove"):
        train.images(np.array([0, 1]))


def test_folder_with_an_image_cut_short(pictures):
    train = load(pictures, "train", 0)
    Image.fromarray(random_pixels(64, 64, 3)).save(train.sources[0])
    file = Path(train.sources[0])
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(SettingError, match="cannot be read"):
        train.images()


def test_folder_resizes_the_shorter_side_and_cuts_the_middle(tmp_path):
    # 16 wide, 8 high: columns 0-3 red, 4-11 green, 12-15 blue. At size 8 the height stays, and the
    # middle 8 columns are all green. As PNG this is exact.
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :4, 0] = pixels[:, 4:12, 1] = pixels[:, 12:, 2] = 255
    (tmp_path / "only").mkdir()
    for name in ("a", "b"):
        Image.fromarray(pixels).save(tmp_path / "only" / f"{name}.png")
    image = load(data_set("folder", path=tmp_path, size=8), "train", 0).images()[0]
    assert (image[1] == 255).all()
    assert not image[[0, 2]].any()
    # At size 4 it becomes 8x4, of which the middle 4 columns are green; antialiasing may touch the rims.
    small = load(data_set("folder", path=tmp_path, size=4), "train", 0).images()[0]
    assert small.shape == (3, 4, 4)
    assert (small[1, :, 1:3] > 230).all()

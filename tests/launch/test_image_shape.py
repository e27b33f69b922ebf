"""A U-Net whose size and channels follow the images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedphd.common.config import Config, compose
from fedphd.common.errors import SettingError
from fedphd.launch.image_shape import follow_images
from fedphd.launch.preflight import check

OWN = ["experiment=own_images", "runtime=inprocess"]


def arrays(file: Path, *shape: int, classes: int = 2) -> Path:
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(12, *shape), dtype=np.uint8)
    np.savez(file, train_x=pixels, train_y=np.arange(12) % classes)
    return file


def config(path: Path, *more: str) -> Config:
    return compose([*OWN, "data=npz", f"data.path={path}", *more])


@pytest.mark.parametrize(("shape", "channels"), [((16, 16), 1), ((16, 16, 3), 3), ((28, 28), 1)])
def test_size_and_channels_are_those_of_the_images(tmp_path: Path, shape: tuple[int, ...], channels: int) -> None:
    unet = follow_images(config(arrays(tmp_path / "a.npz", *shape))).model.unet
    assert (unet["in_channels"], unet["out_channels"], unet["sample_size"]) == (channels, channels, shape[0])


def test_what_is_given_stays(tmp_path: Path) -> None:
    whole = compose()
    assert follow_images(whole) is whole
    half = config(arrays(tmp_path / "a.npz", 16, 16), "model.unet.sample_size=8")
    assert follow_images(half).model.unet["sample_size"] == 8


@pytest.mark.parametrize("classes", [1, 3, 7, 10])
def test_any_number_of_classes_can_be_trained_and_measured(tmp_path: Path, classes: int) -> None:
    ready = follow_images(config(arrays(tmp_path / "a.npz", 16, 16, classes=classes)))
    assert check(ready) == []


def test_a_side_that_cannot_be_halved_is_refused_in_one_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (40, 40)).save(tmp_path / name / "one.png")
    own = compose([*OWN, f"data.path={tmp_path}", "data.size=30"])
    with pytest.raises(SettingError, match=r"^data\.size=30: model=small takes sides that are multiples of 4; use 32"):
        follow_images(own)
    with pytest.raises(SettingError, match=r"^model\.unet\.sample_size=30: "):
        follow_images(config(arrays(tmp_path / "a.npz", 30, 30)))


def test_of_holders_the_first_that_is_there_counts(tmp_path: Path) -> None:
    arrays(tmp_path / "client-1.npz", 16, 16)
    own = config(tmp_path, "partition=own")
    assert follow_images(own).model.unet["in_channels"] == 1
    arrays(tmp_path / "root.npz", 16, 16, 3)
    assert follow_images(own).model.unet["in_channels"] == 3


def test_without_images_the_user_must_say(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^data\.path=.*no such file"):
        follow_images(config(tmp_path / "nothing.npz"))
    with pytest.raises(
        SettingError, match=r"^model\.unet\.in_channels=null: follows the images, of which there are none"
    ):
        follow_images(config(tmp_path, "partition=own"))


def test_latents_cannot_be_followed(tmp_path: Path) -> None:
    images = arrays(tmp_path / "a.npz", 16, 16)
    latent = compose(["model=ldm256", "model.unet.in_channels=null", "data=npz", f"data.path={images}"])
    with pytest.raises(SettingError, match=r"^model\.unet\.in_channels=null: cannot follow latents"):
        follow_images(latent)

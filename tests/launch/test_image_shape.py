"""A U-Net whose size and channels follow the images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedphd.common.config import Config, compose
from fedphd.common.errors import SettingError
from fedphd.launch.image_shape import follow_images, notes_on_following
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
    assert check(config(arrays(tmp_path / "a.npz", 16, 16, classes=classes))).notes == []


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


def pictures(folder: Path, **modes: str) -> Path:
    """Write one image for each holder, in the mode that is said."""
    for holder, mode in modes.items():
        (folder / holder.replace("_", "-") / "a").mkdir(parents=True)
        Image.new(mode, (8, 8)).save(folder / holder.replace("_", "-") / "a" / "x.png")
    return folder


def test_one_holder_in_colour_makes_all_of_them_colour(tmp_path: Path) -> None:
    """... since nobody asked for grey images."""
    path = pictures(tmp_path, client_0="L", client_1="RGB", root="L")
    own = ["partition=own", f"data.path={path}", "data.size=8", "topology.clients=2"]
    ready = follow_images(compose([*OWN, *own]))
    assert (ready.model.unet["in_channels"], ready.data.model_dump()["channels"]) == (3, 3)
    grey = follow_images(compose([*OWN, *own, "data.channels=1"]))
    assert grey.model.unet["in_channels"] == 1


def test_a_grey_root_says_so_where_clients_are_elsewhere(tmp_path: Path) -> None:
    pictures(tmp_path, root="L")
    away = ["partition=own", f"data.path={tmp_path}", "data.size=8", "runtime=deployment", "runtime.insecure=true"]
    given = compose([*OWN[:1], *away, "evaluation=grid", "runtime.superlink=127.0.0.1:9"])
    told = "data.channels=1 follows the root's images; give data.channels=3 if clients have colour"
    assert told in check(given).notes
    assert notes_on_following(given, follow_images(given)) == [told]
    colour = given.model_copy(update={"data": given.data.model_copy(update={"channels": 3})})
    assert notes_on_following(colour, follow_images(colour)) == []


def test_without_images_the_user_must_say(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^data\.path=.*no such file"):
        follow_images(config(tmp_path / "nothing.npz"))
    told = (
        r"^model\.unet\.in_channels=null: follows the images, of which there are none on this machine; give theirs, as "
    )
    with pytest.raises(SettingError, match=told) as caught:
        follow_images(config(tmp_path, "partition=own", "model.unet.sample_size=16"))
    assert str(caught.value).endswith("as model.unet.in_channels=3 model.unet.out_channels=3")
    whole = config(tmp_path, "partition=own", "model.unet.sample_size=16", *str(caught.value).split()[-2:])
    assert follow_images(whole) is whole


def test_latents_cannot_be_followed(tmp_path: Path) -> None:
    images = arrays(tmp_path / "a.npz", 16, 16)
    latent = compose(["model=ldm256", "model.unet.in_channels=null", "data=npz", f"data.path={images}"])
    with pytest.raises(SettingError, match=r"^model\.unet\.in_channels=null: cannot follow latents"):
        follow_images(latent)

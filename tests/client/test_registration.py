"""What a deployed client tells when it registers, and what stays with it."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import small_config
from PIL import Image

from fedphd.client.place import Place
from fedphd.client.registration import answer_to_roll_call
from fedphd.common.wire.messages import Profile, Unable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of two classes, and a file that is none."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "secret" / "place" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "secret" / "place" / name / f"{number}.png")
    (tmp_path / "secret" / "place" / "readme.txt").write_text("no image")
    return tmp_path / "secret" / "place"


def answer(folder: Path, state: Path, *overrides: str, data_path: str = "") -> Profile | Unable:
    data = [f"data.path={folder}", "data.size=8", "data.channels=1", "data.classes=[cat,dog]", "data.holdout=0"]
    config = small_config("data=folder", *data, "topology.clients=1", "topology.edges=0", "partition=iid", *overrides)
    if data_path:  # as `Place.of` does
        config = config.model_copy(update={"data": config.data.at(Path(data_path))})
    return answer_to_roll_call(Place(config, 0, state, state / "latents", (state / "turns", 1), data_path))


def test_notes_travel_but_where_noise_is_to_hide_what_they_count(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told = answer(folder, tmp_path / "state")
    assert isinstance(told, Profile)
    [note] = told.notes
    assert note.startswith("1 ") and "readme.txt" in note
    assert note not in caplog.text
    noisy = answer(folder, tmp_path / "state", "privacy.histogram_epsilon=1.0")
    assert isinstance(noisy, Profile)
    assert noisy.notes == []
    assert note in caplog.text


def test_another_number_of_classes_than_the_models_is_found_before_a_round(folder: Path, tmp_path: Path) -> None:
    told = answer(folder, tmp_path / "state", "model.classes=labels", "+model.unet.num_class_embeds=4")
    assert isinstance(told, Unable)
    assert told.reason.startswith("model.classes=labels: the model was made for 3 classes, client-0 has 2;")
    sound = answer(folder, tmp_path / "state", "model.classes=labels", "+model.unet.num_class_embeds=3")
    assert isinstance(sound, Profile)


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/cat/..", "{}//"])
def test_the_path_is_hidden_however_the_node_writes_it(folder: Path, tmp_path: Path, form: str) -> None:
    (folder / "cat" / "1.png").write_bytes(b"")
    told = answer(folder, tmp_path / "state", data_path=form.format(folder))
    assert isinstance(told, Unable)
    assert "DATA-PATH" in told.reason and "cat/1.png: cannot be read" in told.reason
    assert "secret" not in told.reason


def test_a_path_that_names_no_place_leaves_the_line_as_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cat" / "1.png").write_bytes(b"")
    monkeypatch.chdir(folder)
    told = answer(folder, tmp_path / "state", data_path=".")
    assert isinstance(told, Unable)
    assert "cat/1.png: cannot be read" in told.reason


def test_nor_does_a_folder_that_is_called_like_a_word(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    unet = "+model.unet={in_channels: 3, out_channels: 3}"
    told = answer(folder, tmp_path / "state", unet, data_path="images")
    assert isinstance(told, Unable)
    assert told.reason.startswith("model=digits8: expects 3x8x8 (CxHxW), the images are 1x8x8")

"""A client's images are decoded once, whatever it is asked."""

import stat
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import start_of, train_order, update_of
from flwr.app import Message, RecordDict
from helpers import small_config
from PIL import Image
from tiny_autoencoder import latent_overrides, save_autoencoder

import fedphd.client.place
from fedphd.client import local_data
from fedphd.client.app import app
from fedphd.client.latents import training_set
from fedphd.client.place import Place
from fedphd.common.config import Config, to_run_config
from fedphd.common.data import loading
from fedphd.common.flower.delivery import deliver
from fedphd.common.run.run_folder import CLIENTS, IMAGES
from fedphd.common.wire.messages import REGISTER, TRAIN, Profile, Unable
from fedphd.launch.runtimes.client_grid import InProcessGrid
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.evaluation.grid import save_grid
from fedphd.server.evaluation.nearest_images import show_nearest
from fedphd.server.simulation import simulate

FILES = 24


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedphd.client.place, "log_to", lambda _file: None)  # it would change the logging of all tests


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty-four images of three classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (FILES, 8, 8, 3), np.uint8)
    for number in range(FILES):
        path = tmp_path / "own" / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).save(path)
    return tmp_path / "own"


def settings(folder: Path, *overrides: str) -> Config:
    colour = ["model.unet.in_channels=3", "model.unet.out_channels=3"]
    small = ["data.size=8", "data.holdout=0", "training.batch_size=4", "topology.homes=null"]
    return small_config("data=folder", f"data.path={folder}", *colour, *small, *overrides)


class Home:
    """A SuperNode of a deployed client, which has a new process for each message."""

    def __init__(self, config: Config, run_dir: Path, state: Path, client: int = 0) -> None:
        self.grid = InProcessGrid(app, config.topology.clients, to_run_config(config, run_dir))
        self.node = client + 1
        self.grid._contexts[self.node].node_config["state-dir"] = str(state)

    def ask(self, content: RecordDict, message_type: str) -> Message:
        for known in (loading.load, local_data._find, fedphd.client.place._config):
            known.cache_clear()
        [reply] = deliver(self.grid, [Message(content, self.node, message_type)], 60.0)
        return reply


def test_a_deployed_client_decodes_each_image_once_in_a_whole_run(
    folder: Path, tmp_path: Path, decoded: Counter[str]
) -> None:
    config, state = settings(folder), tmp_path / "state"
    homes = [Home(config, tmp_path / "run", state) for _ in range(2)]
    for home in homes:
        profile = Profile.read(home.ask(RecordDict(), REGISTER).content)
        assert profile.samples == sum(profile.counts) == FILES / 4  # a quarter for each client
    assert set(decoded.values()) == {1}
    assert len(decoded) == FILES / 4
    at_registration = decoded.copy()
    start = start_of(config)
    for edge_round in range(4):
        order = train_order(start, edge_round)
        update_of(homes[edge_round % 2].ask(order.write(), TRAIN), order)
    assert decoded == at_registration  # and for no message after it
    [file] = (state / IMAGES).glob("*.pixels")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_training_is_the_same_to_the_last_bit_with_and_without(folder: Path, tmp_path: Path) -> None:
    models = set()
    for number, cache in enumerate(("auto", "null", "null")):
        config = settings(folder, f"data.cache={cache}", "training.flip=true")
        order = train_order(start_of(config), 1)
        home = Home(config, tmp_path / "run", tmp_path / f"state-{number}")
        models.add(update_of(home.ask(order.write(), TRAIN), order).model.decode().hash)
    assert len(models) == 1


def test_a_new_image_is_trained_on_by_the_next_message(folder: Path, tmp_path: Path, decoded: Counter[str]) -> None:
    config = settings(folder)
    home = Home(config, tmp_path / "run", tmp_path / "state")
    home.ask(RecordDict(), REGISTER)
    Image.new("RGB", (8, 8)).save(folder / "a" / "new.png")
    before = sum(decoded.values())
    profile = Profile.read(home.ask(RecordDict(), REGISTER).content)
    assert sum(decoded.values()) - before == profile.samples


def test_what_cannot_be_read_is_found_by_the_registration(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, "topology.clients=1", "topology.edges=1")
    (folder / "a" / "3.png").write_bytes((folder / "a" / "3.png").read_bytes()[:60])
    reply = Home(config, tmp_path / "run", tmp_path / "state").ask(RecordDict(), REGISTER)
    assert "3.png: cannot be read" in Unable.read(reply.content).reason


def test_counting_labels_decodes_nothing(folder: Path, decoded: Counter[str]) -> None:
    local = local_data.local_data(settings(folder), 0)
    assert local.counts.sum() == FILES / 4
    assert local.classes == ("a", "b", "c")
    assert not decoded


def test_latents_are_made_of_the_kept_images(folder: Path, tmp_path: Path, decoded: Counter[str]) -> None:
    autoencoder = save_autoencoder(tmp_path / "vae", in_channels=3, out_channels=3)
    config = settings(folder, "data.cache=" + str(tmp_path / "cache"), *latent_overrides(autoencoder, image_channels=3))
    place = Place(config, 0, tmp_path / "run", tmp_path / "latents")
    first = training_set(place, torch.device("cpu"))
    local_data._find.cache_clear()
    again = training_set(place, torch.device("cpu"))
    assert torch.equal(first.images, again.images)
    assert set(decoded.values()) == {1}


def test_a_simulation_keeps_them_until_it_ends(folder: Path, tmp_path: Path, decoded: Counter[str]) -> None:
    config = settings(folder, "topology.participation=1", "rounds=1")
    kept_during: list[int] = []
    grid = in_process_grid(config, tmp_path / "run")
    pushed = grid.push_messages

    def push(messages: Any) -> list[str]:
        ids = pushed(messages)
        kept_during.append(len(list((tmp_path / "run" / CLIENTS / IMAGES).glob("*.pixels"))))
        return ids

    grid.push_messages = push  # type: ignore[method-assign]
    simulate(grid, config, tmp_path / "run")
    assert max(kept_during) == 4  # one for each client
    assert set(decoded.values()) == {1}
    assert len(decoded) == FILES
    assert not (tmp_path / "run" / CLIENTS / IMAGES).exists()


def test_the_root_shows_what_clients_of_its_machine_have_decoded(
    folder: Path, tmp_path: Path, decoded: Counter[str]
) -> None:
    config = settings(folder, f"data.cache={tmp_path / 'cache'}", "partition.holdout=0.2")
    own = [local_data.local_data(config, index) for index in range(4)]
    images = np.concatenate([one.images for one in own])
    before = decoded.copy()
    show_nearest(config, images[:3], tmp_path / "nearest.png", torch.device("cpu"))
    assert decoded == before
    save_grid(np.concatenate([images[:3], images[:3]], axis=3), tmp_path / "expected.png")  # they are the nearest
    assert (tmp_path / "nearest.png").read_bytes() == (tmp_path / "expected.png").read_bytes()

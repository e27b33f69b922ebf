"""What a client trains on in latent space, and its cache."""

import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import VQModel
from helpers import small_config
from safetensors.torch import load_file, save_file
from tiny_autoencoder import LATENT, latent_overrides, save_autoencoder

from fedphd.client.latents import training_set
from fedphd.client.local_data import local_data
from fedphd.client.place import Place
from fedphd.common.network.autoencoder import autoencoder_of

CPU = torch.device("cpu")


def place(tmp_path: Path, *overrides: str, index: int = 0) -> Place:
    return Place(small_config(*overrides), index, tmp_path / "run", tmp_path / "latents")


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "latents").iterdir())


@pytest.fixture
def autoencoder(tmp_path: Path) -> Path:
    return save_autoencoder(tmp_path / "vae")


def test_without_an_autoencoder_it_trains_on_pixels(tmp_path: Path) -> None:
    own = place(tmp_path)
    made = training_set(own, CPU)
    np.testing.assert_array_equal(made.images.numpy(), local_data(own.config, 0).images)
    assert made.mirrored is None
    assert not (tmp_path / "latents").exists()


@pytest.mark.parametrize("kind", ["AutoencoderKL", "VQModel"])
def test_latents_are_made_once(tmp_path: Path, kind: str) -> None:
    folder = save_autoencoder(tmp_path / "vae", **({"kind": VQModel} if kind == "VQModel" else {}))
    own = place(tmp_path, *latent_overrides(folder))
    first = training_set(own, CPU)
    pixels = torch.from_numpy(local_data(own.config, 0).images)
    made = autoencoder_of(own.config.model, CPU)
    assert made is not None
    torch.testing.assert_close(first.images, made.encode(pixels), rtol=0, atol=0)
    assert first.images.shape == (len(pixels), *LATENT)
    assert first.mirrored is None
    [file] = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = file.stat()
    again = training_set(own, CPU)
    assert torch.equal(again.images, first.images)
    [file] = files(tmp_path)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (written.st_mtime_ns, written.st_ino)


def test_the_cache_is_what_is_read(tmp_path: Path, autoencoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = place(tmp_path, *latent_overrides(autoencoder))
    first = training_set(own, CPU)
    network = autoencoder_of(own.config.model, CPU)
    assert network is not None
    monkeypatch.setattr(network.network, "encode", None)  # nothing more can be encoded
    assert torch.equal(training_set(own, CPU).images, first.images)


@pytest.mark.parametrize("damage", ["torn", "empty", "flipped bit", "other tensors"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, autoencoder: Path, damage: str) -> None:
    own = place(tmp_path, *latent_overrides(autoencoder))
    first = training_set(own, CPU)
    [file] = files(tmp_path)
    whole = file.read_bytes()
    match damage:
        case "torn":
            file.write_bytes(whole[:-10])
        case "empty":
            file.write_bytes(b"")
        case "flipped bit":
            file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        case "other tensors":
            save_file({"latents": load_file(file)["latents"] + 1}, file)
    assert torch.equal(training_set(own, CPU).images, first.images)
    [file] = files(tmp_path)
    assert file.read_bytes() == whole


def test_mirrored_images_have_latents_of_their_own(tmp_path: Path, autoencoder: Path) -> None:
    own = place(tmp_path, *latent_overrides(autoencoder), "training.flip=true")
    for _ in range(2):  # made, then read
        made = training_set(own, CPU)
        network = autoencoder_of(own.config.model, CPU)
        assert network is not None
        mirrored = torch.from_numpy(local_data(own.config, 0).images[..., ::-1].copy())
        assert made.mirrored is not None
        assert torch.equal(made.mirrored, network.encode(mirrored))
        assert not torch.allclose(made.mirrored, made.images.flip(-1))  # which is why they are kept
    assert len(files(tmp_path)) == 1
    plain = training_set(place(tmp_path, *latent_overrides(autoencoder)), CPU)
    assert torch.equal(plain.images, made.images)
    assert plain.mirrored is None


def test_other_choices_have_latents_of_their_own(tmp_path: Path, autoencoder: Path) -> None:
    other = save_autoencoder(tmp_path / "other", seed=1)
    sets = [
        training_set(place(tmp_path, *latent_overrides(autoencoder)), CPU),
        training_set(place(tmp_path, *latent_overrides(autoencoder), index=1), CPU),
        training_set(place(tmp_path, *latent_overrides(autoencoder, scaling=2.0)), CPU),
        training_set(place(tmp_path, *latent_overrides(other)), CPU),
    ]
    assert len(files(tmp_path)) == 4
    torch.testing.assert_close(sets[2].images, sets[0].images * 4)
    assert not torch.allclose(sets[3].images, sets[0].images)


def test_the_autoencoders_place_does_not_matter(tmp_path: Path, autoencoder: Path) -> None:
    elsewhere = save_autoencoder(tmp_path / "elsewhere")
    first, second = (
        training_set(place(tmp_path, *latent_overrides(folder)), CPU) for folder in (autoencoder, elsewhere)
    )
    assert torch.equal(first.images, second.images)
    assert len(files(tmp_path)) == 1


def test_latents_are_trained_on_as_they_are(tmp_path: Path, autoencoder: Path) -> None:
    made = training_set(place(tmp_path, *latent_overrides(autoencoder)), CPU)
    assert torch.equal(made.batch(torch.tensor([2, 0]), flip=False), made.images[[2, 0]])

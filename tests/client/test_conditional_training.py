"""Training with labels: what is dropped, what a client that lacks a class leaves as it was."""

from pathlib import Path

import pytest
import torch
from helpers import small_config
from tiny_autoencoder import latent_overrides, save_autoencoder
from torch import Tensor, nn

from fedphd.client.latents import training_set
from fedphd.client.local_data import local_data
from fedphd.client.objective import Compared, Objective, terms_of
from fedphd.client.optimizer_store import OptimizerStore
from fedphd.client.place import Place
from fedphd.client.training import train
from fedphd.common.config import Config
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.conditioning import NO_CLASS
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.distances import DISTANCES
from fedphd.common.training.noise_prediction import add_noise, predict
from fedphd.common.training.session import Session

CPU = torch.device("cpu")
TOLD = ("model.classes=labels", "+model.unet.num_class_embeds=11")
SMALL = ("model.unet.block_out_channels=[8,8]", "model.unet.norm_num_groups=2")
TABLE = "class_embedding.weight"


def images(labels: Tensor | None) -> TrainingSet:
    pixels = torch.randint(256, (64, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return TrainingSet(pixels, labels=labels)


def place(tmp_path: Path, *overrides: str) -> Place:
    return Place(small_config(*TOLD, *overrides), 0, tmp_path / "run", tmp_path / "latents")


def test_labels_are_dropped_as_often_as_asked() -> None:
    labelled = images(torch.arange(64) % 10)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        told = torch.stack([labelled.labelled(torch.arange(64), False, 0.25).labels for _ in range(100)])  # type: ignore[misc]
    dropped = told == NO_CLASS
    assert dropped.float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(told[~dropped], labelled.labels.expand(100, -1)[~dropped])  # type: ignore[union-attr]


def test_labels_change_no_image_and_without_them_nothing_is_drawn() -> None:
    """... so the random numbers of a run without labels are those that they were."""
    bare, labelled = images(None), images(torch.arange(64) % 10)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = bare.labelled(torch.arange(64), True, 0.1)
        state = torch.get_rng_state()
        torch.manual_seed(0)
        assert torch.equal(bare.batch(torch.arange(64), True), first.x_0)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(0)
        assert torch.equal(labelled.labelled(torch.arange(64), True, 0.1).x_0, first.x_0)
    assert first.labels is None


def test_the_network_is_told_the_labels() -> None:
    config = small_config(*TOLD, *SMALL)
    unet, seen = build_unet(config.model, 0), []
    unet.get_submodule("class_embedding").register_forward_pre_hook(lambda _layer, given: seen.append(given[0]))
    noised = add_noise(torch.zeros(3, 1, 8, 8), Diffusion(config.diffusion), torch.tensor([4, NO_CLASS, 9]))
    predict(unet, noised)
    assert [one.tolist() for one in seen] == [[4, 10, 9]]


def trained(config: Config, unet: nn.Module, store: OptimizerStore, edge_round: int) -> Tensor:
    """Train on classes 2 and 3 alone; give how far each label's embedding moved."""
    before = unet.get_parameter(TABLE).detach().clone()
    received = build_unet(config.model, 0)
    received.load_state_dict(unet.state_dict())
    goal = Objective(DISTANCES["mse"], Diffusion(config.diffusion), terms_of(config.objective), Compared(received))
    session = Session(config.training, CPU, 0, edge_round, 10)
    train(unet, images(2 + torch.arange(64) % 2), goal, session, store=store)
    return (unet.get_parameter(TABLE) - before).abs().amax(1)


@pytest.mark.parametrize("method", ["fedphd", "fedprox", "moon"])
def test_what_a_client_lacks_stays_as_it_was(method: str, tmp_path: Path) -> None:
    """To the last bit: also with kept moments, clipping, and in rounds with FedPhD's penalty on all weights."""
    config = small_config(f"method={method}", *TOLD, *SMALL, "training.batch_size=8", "training.clip_norm=0.1")
    unet = build_unet(config.model, 0)
    for edge_round in range(3):
        moved = trained(config, unet, OptimizerStore(tmp_path, "structure", [edge_round]), edge_round)
        assert (moved[[2, 3, 10]] > 0).all()
        assert (moved[[0, 1, 4, 5, 6, 7, 8, 9]] == 0).all()


def test_a_client_gives_its_labels(tmp_path: Path) -> None:
    own = place(tmp_path)
    made, data = training_set(own, CPU), local_data(own.config, 0)
    assert made.labels is not None
    assert torch.equal(made.labels.bincount(minlength=10), torch.from_numpy(data.counts))
    bare = Place(small_config(), 0, tmp_path / "run", tmp_path / "latents")
    assert training_set(bare, CPU).labels is None


def test_latents_have_labels_too(tmp_path: Path) -> None:
    own = place(tmp_path, *latent_overrides(save_autoencoder(tmp_path / "vae")))
    for _ in ("made", "read"):
        assert training_set(own, CPU).labels.tolist() == local_data(own.config, 0).labels.tolist()  # type: ignore[union-attr]


def test_a_client_with_other_classes_than_the_model_is_named(tmp_path: Path) -> None:
    config = small_config("model.classes=labels", "+model.unet.num_class_embeds=4")
    with pytest.raises(SettingError, match=r"^model\.classes=labels: .* made for 3 classes, client-0 has 10"):
        training_set(Place(config, 0, tmp_path, tmp_path), CPU)

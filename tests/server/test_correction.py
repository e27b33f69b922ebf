import numpy as np
import pytest
import torch
from helpers import events, small_config

from fedphd.common.data.loading import load
from fedphd.common.data.training_set import TrainingSet
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.pruning import prune
from fedphd.common.run.ledger import Ledger
from fedphd.common.training.diffusion import Diffusion
from fedphd.common.training.fit import seeded
from fedphd.common.training.noise_prediction import simple_loss
from fedphd.server.correction import Correction
from fedphd.server.pruning_schedule import load_unet

SETTINGS = ("correction=each_round", "correction.batch_size=32", "correction.lr=2e-3", "training.clip_norm=null")


@pytest.fixture(scope="module")
def images() -> TrainingSet:
    digits = load(small_config().data, "train", 0)
    return TrainingSet(torch.from_numpy(digits.images(np.arange(80))))


@pytest.fixture(scope="module")
def model() -> PackedModel:
    return pack(build_unet(small_config().model, 0).state_dict())


def correction(ledger: Ledger, images: TrainingSet, *overrides: str) -> Correction:
    return Correction(small_config(*SETTINGS, *overrides), lambda: images, ledger)


def loss(model: PackedModel, images: TrainingSet) -> float:
    """Measure DDPM's loss on all images, at the same times and with the same noise each time."""
    config = small_config()
    with torch.no_grad(), seeded(1, torch.device("cpu")):
        x_0 = images.batch(torch.arange(len(images)), flip=False)
        return simple_loss(load_unet(config, model), x_0, Diffusion(config.diffusion), "mse").item()


def test_fine_tuning_lowers_the_loss_on_the_auxiliary_set(
    ledger: Ledger, images: TrainingSet, model: PackedModel
) -> None:
    before = model.vector.copy()
    corrected = correction(ledger, images, "correction.steps=30").apply(model, 1)
    assert loss(corrected, images) < 0.7 * loss(model, images)
    np.testing.assert_array_equal(model.vector, before)
    [event] = events(ledger, "correct")
    assert (event["tier"], event["node"], event["round"], event["steps"]) == ("root", "root", 1, 30)
    assert 0 < event["loss"] < loss(model, images)
    assert event["seconds"] > 0


def test_same_round_is_corrected_alike_and_another_otherwise(
    ledger: Ledger, images: TrainingSet, model: PackedModel
) -> None:
    one = correction(ledger, images, "correction.steps=2")
    first = one.apply(model, 1)
    torch.rand(3)  # what else is drawn does not matter, nor what was corrected before
    second = one.apply(model, 2)
    assert first.hash == one.apply(model, 1).hash
    assert first.hash == correction(ledger, images, "correction.steps=2").apply(model, 1).hash
    assert first.hash != second.hash
    assert first.hash != correction(ledger, images, "correction.steps=2", "seed=1").apply(model, 1).hash


def test_torch_draws_afterwards_as_if_nothing_had_happened(
    ledger: Ledger, images: TrainingSet, model: PackedModel
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    correction(ledger, images, "correction.steps=1").apply(model, 1)
    assert torch.equal(torch.rand(1), expected)


def test_pruned_network_keeps_its_structure(ledger: Ledger, images: TrainingSet, model: PackedModel) -> None:
    unet, _ = prune(load_unet(small_config(), model), 0.25)
    pruned = pack(unet.state_dict())
    assert pruned.structure.size < model.structure.size
    corrected = correction(ledger, images, "correction.steps=2").apply(pruned, 1)
    assert corrected.structure == pruned.structure
    assert corrected.hash != pruned.hash


def test_batches_are_whole_passes_over_the_set(
    ledger: Ledger, images: TrainingSet, model: PackedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 80 images in batches of 32: 32, 32, 16, and again; the seventh step is the first of the third pass.
    seen: list[torch.Tensor] = []
    batch = TrainingSet.batch

    def noted(self: TrainingSet, indices: torch.Tensor, flip: bool) -> torch.Tensor:
        assert not flip
        seen.append(indices)
        return batch(self, indices, flip)

    monkeypatch.setattr(TrainingSet, "batch", noted)
    correction(ledger, images, "correction.steps=7").apply(model, 1)
    assert [len(indices) for indices in seen] == [32, 32, 16, 32, 32, 16, 32]
    passes = [torch.cat(seen[:3]).tolist(), torch.cat(seen[3:6]).tolist()]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(80))
    assert passes[0] != passes[1]


def test_latents_are_trained_on_as_they_are(ledger: Ledger, images: TrainingSet, model: PackedModel) -> None:
    # Pixels in [-1, 1] as float32 are the same x_0.
    latents = TrainingSet(images.batch(torch.arange(len(images)), flip=False))
    of_pixels, of_latents = (correction(ledger, one, "correction.steps=2").apply(model, 1) for one in (images, latents))
    assert of_pixels.hash == of_latents.hash


def test_divergence_names_the_step_size(ledger: Ledger, images: TrainingSet, model: PackedModel) -> None:
    with pytest.raises(SettingError, match=r"correction\.lr=1e\+30: the model of round 3 diverges"):
        correction(ledger, images, "correction.lr=1e30", "correction.steps=3").apply(model, 3)


def test_set_is_read_at_the_first_correction_only(ledger: Ledger, images: TrainingSet, model: PackedModel) -> None:
    calls: list[int] = []

    def auxiliary() -> TrainingSet:
        calls.append(1)
        return images

    one = Correction(small_config(*SETTINGS, "correction.steps=1"), auxiliary, ledger)
    assert not calls
    one.apply(one.apply(model, 1), 2)
    assert calls == [1]

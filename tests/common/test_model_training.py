"""Every model file brings the training that fits its U-Net."""

from importlib.resources import files
from pathlib import Path

import pytest

from fedphd import conf
from fedphd.common.config import Config, compose

NAMES = sorted(Path(file.name).stem for file in (files(conf) / "model").iterdir())


def model(name: str) -> Config:
    return compose([f"model={name}", "pruning=none"])


@pytest.mark.parametrize("name", NAMES)
def test_a_model_says_how_it_is_trained(name: str) -> None:
    text = (files(conf) / "model" / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    assert "training:" in text and "rounds:" in text


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits8"])
def test_the_digits_training_does_not_leak_into_other_models(name: str) -> None:
    digits, other = compose().training, model(name).training
    assert (digits.lr, digits.batch_size, digits.schedule) == (4e-3, 16, "linear")
    assert other.lr < digits.lr and other.schedule == "constant"


def test_a_large_u_net_is_trained_as_in_its_paper() -> None:
    ddpm, fedphd, celeba = model("ddpm_cifar10"), model("fedphd_cifar10"), model("fedphd_celeba")
    assert (ddpm.training.lr, ddpm.training.batch_size, ddpm.training.flip) == (2e-4, 128, True)
    assert ddpm.ema_decay == pytest.approx(0.9999**391, abs=0.002)  # DDPM's of a step, over an epoch of CIFAR-10
    assert (fedphd.training.lr, fedphd.training.batch_size, fedphd.ema_decay) == (2e-4, 128, None)
    assert (celeba.training.lr, celeba.training.batch_size, celeba.rounds) == (2e-4, 64, 1000)
    assert model("feddiffuse_fmnist").training.clip_norm is None
    assert model("ldm256").diffusion.beta_schedule == "scaled_linear"


def test_what_a_user_gives_wins_and_so_does_an_experiment() -> None:
    assert compose(["model=ddpm_cifar10", "training.lr=0.5", "rounds=7"]).training.lr == 0.5
    config = compose(["experiment=cifar10_trial", "data.path=/images.npz"])
    assert (config.rounds, config.training.batch_size, config.training.lr) == (1, 8, 2e-4)


def test_a_model_file_of_ones_own_needs_no_training_part(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text = "defaults:\n  - ddpm_cifar10\nname: mine\n"
    unet = "name: bare\nnetwork: unet2d\nautoencoder: null\nunet: {sample_size: 8, in_channels: 1}\n"
    (tmp_path / "model" / "mine.yaml").write_text(text)
    (tmp_path / "model" / "bare.yaml").write_text(unet)
    path = f"hydra.searchpath=[{tmp_path}]"
    mine, bare = compose([path, "model=mine"]), compose([path, "model=bare"])
    assert (mine.model.name, mine.rounds, mine.model.unet["sample_size"]) == ("mine", 2000, 32)
    assert (bare.training.lr, bare.training.batch_size, bare.training.schedule) == (2e-4, 64, "constant")

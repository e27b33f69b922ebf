"""FedPhD's network is the one that its authors' code builds, to the bit."""

import pytest
import torch
from diffusers import UNet2DModel

from fedphd.common.config import ModelConfig, compose
from fedphd.common.network.build import build_unet
from fedphd.common.network.counting import count

PARAMETERS = 35_746_307


def configured(name: str) -> ModelConfig:
    return compose([f"model={name}"]).model


def authors(dropout: float, sample_size: int) -> UNet2DModel:
    """Build what FedPhD's authors build (diffusers_unet.py); all else is diffusers' default."""
    return UNet2DModel(
        sample_size=sample_size,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        dropout=dropout,
    )


def options(unet: UNet2DModel) -> dict[str, object]:
    """List all options of a network, but for which of them were left to diffusers."""
    given = {name: value for name, value in unet.config.items() if name != "_use_default_values"}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def noise(side: int) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "side", "dropout"), [("fedphd_cifar10", 32, 0.1), ("fedphd_celeba", 64, 0.0)])
def test_it_is_the_authors_network(name: str, side: int, dropout: float) -> None:
    ours, theirs = build_unet(configured(name), 0).eval(), authors(dropout, side).eval()
    assert options(ours) == options(theirs)
    assert count(ours)[0] == PARAMETERS
    theirs.load_state_dict(ours.state_dict())
    times = torch.tensor([3, 700])
    with torch.no_grad():
        assert torch.equal(ours(noise(side), times).sample, theirs(noise(side), times).sample)


def test_ddpms_own_is_as_large_but_another_function() -> None:
    fedphd, ddpm = (build_unet(configured(name), 0).eval() for name in ("fedphd_cifar10", "ddpm_cifar10"))
    assert count(ddpm)[0] == PARAMETERS
    ddpm.load_state_dict(fedphd.state_dict())
    with torch.no_grad():
        one, other = (unet(noise(32), 300).sample for unet in (fedphd, ddpm))
    assert (one - other).square().mean().sqrt() > 0.1 * one.square().mean().sqrt()

"""Drawing images, as pixels or as latents that are decoded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from helpers import small_config
from tiny_autoencoder import LATENT, autoencoder_config, latent_overrides, save_autoencoder

from fedphd.common.network.autoencoder import Autoencoder
from fedphd.common.network.build import build_unet
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.sampling import Sampler
from fedphd.common.training.seeding import derive_seed, numpy_rng

CPU = torch.device("cpu")


def tiny_unet(channels: int = 1, side: int = 8) -> UNet2DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DModel(
            sample_size=side,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )


def two_steps(eta: float = 0.0, latents: bool = False) -> ReverseProcess:
    config = small_config("sampler.steps=2", f"sampler.eta={eta}")
    return ReverseProcess(config.sampler, config.diffusion, latents=latents)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_drawing_is_reproducible_and_leaves_no_trace(eta: float) -> None:
    unet = tiny_unet(channels=3).train()
    before = torch.random.get_rng_state()
    images = [Sampler(two_steps(eta), seed, 4, CPU).draw(unet, 4) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert unet.training
    assert images[0].shape == (4, 3, 8, 8)
    np.testing.assert_array_equal(images[0], images[1])
    assert (images[0] != images[2]).any()


def test_the_stream_is_that_of_its_name() -> None:
    """The noise of an evaluation, image by image, is what every run before drew."""
    unet, reverse = tiny_unet(), two_steps(eta=1.0)
    sampler = Sampler(reverse, 7, 2, CPU)
    for stream in (("evaluation",), ("auxiliary", 3)):
        noise = torch.from_numpy(numpy_rng(7, *stream, "noise").standard_normal((5, 1, 8, 8), np.float32))
        seeds = [derive_seed(7, *stream, "sampler", place) for place in range(5)]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        parts = [reverse.sample(unet, noise[n : n + 2], generators[n : n + 2]) for n in (0, 2, 4)]
        expected = ((torch.cat(parts) + 1) * 127.5).round().numpy()
        np.testing.assert_array_equal(sampler.draw(unet, 5, stream=stream), expected)
    np.testing.assert_array_equal(sampler.draw(unet, 5), sampler.draw(unet, 5, stream=("evaluation",)))


@pytest.mark.parametrize(
    "overrides",
    [
        ("sampler.steps=2",),
        ("sampler.steps=2", "sampler.eta=1.0"),
        ("sampler=ddpm", "sampler.steps=5"),
        ("sampler=dpm_solver", "sampler.steps=4", "sampler.sde=true"),
        ("sampler=scheduler", "sampler.name=EulerAncestralDiscreteScheduler", "sampler.steps=5"),
    ],
)
def test_an_image_depends_on_its_place_alone(overrides: tuple[str, ...]) -> None:
    """Not on the batches nor on how many are drawn, the noise of the sampler's steps neither."""
    unet, reverse = tiny_unet(), ReverseProcess.of(small_config(*overrides))
    seven = Sampler(reverse, 0, 7, CPU).draw(unet, 7).astype(int)
    three = Sampler(reverse, 0, 2, CPU).draw(unet, 3).astype(int)
    assert len(np.unique(seven.reshape(7, -1), axis=0)) == 7
    # Batches of another size may round otherwise in the last bit.
    assert np.abs(seven[:3] - three).max() <= 1


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_parts_of_a_stream_make_the_whole(eta: float) -> None:
    unet, sampler = tiny_unet(), Sampler(two_steps(eta), seed=0, batch_size=2, device=CPU)
    whole = sampler.draw(unet, 7)
    parts = [sampler.draw(unet, count, first=first) for first, count in ((0, 4), (4, 2), (6, 1))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert sampler.draw(unet, 0).shape == (0, 1, 8, 8)


class TestLatents:
    @pytest.fixture
    def autoencoder(self, tmp_path: Path) -> Autoencoder:
        return Autoencoder(autoencoder_config(save_autoencoder(tmp_path), batch_size=3), CPU)

    def test_images_are_decoded_latents(self, autoencoder: Autoencoder) -> None:
        unet, sampler = tiny_unet(*LATENT[:2]), Sampler(two_steps(latents=True), 0, 4, CPU, autoencoder)
        latents = sampler.draw_latents(unet, 5)
        assert latents.shape == (5, *LATENT)
        assert latents.dtype == np.float32
        assert np.abs(latents).max() > 1  # not clipped
        images = sampler.draw(unet, 5)
        assert images.shape == (5, 1, 8, 8)
        assert images.dtype == np.uint8
        decoded = (autoencoder.decode(torch.from_numpy(latents)) + 1) * 127.5
        assert np.abs(images - decoded.numpy()).max() <= 0.51  # rounded
        np.testing.assert_array_equal(sampler.draw_latents(unet, 1, first=4), latents[4:])

    def test_the_configured_unet_draws_images_of_the_datas_size(self, tmp_path: Path) -> None:
        config = small_config(*latent_overrides(save_autoencoder(tmp_path)), "sampler.steps=2")
        unet = build_unet(config.model, 0)
        images = Sampler.of(config, CPU).draw(unet, 3)
        assert images.shape == (3, 1, 8, 8)
        assert len(np.unique(images.reshape(3, -1), axis=0)) == 3

    def test_a_diverged_unet_draws_grey(self, autoencoder: Autoencoder) -> None:
        unet = tiny_unet(*LATENT[:2])
        with torch.no_grad():
            unet.conv_out.bias.fill_(torch.nan)
        images = Sampler(two_steps(latents=True), 0, 2, CPU, autoencoder).draw(unet, 2)
        assert set(images.ravel().tolist()) == {128}

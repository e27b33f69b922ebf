"""Images to latents and back, by autoencoders of diffusers that are made here."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DModel, VQModel
from diffusers.models.attention_processor import Attention
from helpers import small_config
from safetensors.torch import load_file, save_file
from tiny_autoencoder import GREY, LATENT, autoencoder_config, latent_overrides, save_autoencoder

from fedphd.common.errors import SettingError
from fedphd.common.network.autoencoder import Autoencoder, autoencoder_of
from fedphd.launch.preflight import check

CPU = torch.device("cpu")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def pixels(count: int, side: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def opened(path: Path, **changes: object) -> Autoencoder:
    return Autoencoder(autoencoder_config(path, **changes), CPU)


class TestLatents:
    def test_the_posteriors_mode_is_shifted_and_scaled(self, tmp_path: Path) -> None:
        folder = save_autoencoder(tmp_path, shift_factor=0.25)
        network, images = AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False), pixels(3)
        with torch.no_grad():
            mode = network.encode(images / 127.5 - 1).latent_dist.mode()
            restored = network.decode(mode).sample
        autoencoder = opened(folder)
        latents = autoencoder.encode(images)
        assert autoencoder.latent_shape == LATENT
        assert latents.dtype == torch.float32
        assert not latents.is_inference()  # they are trained on
        torch.testing.assert_close(latents, (mode - 0.25) * 0.5)
        torch.testing.assert_close(autoencoder.decode(latents), restored.clamp(-1, 1))

    def test_vq_quantises_when_it_decodes(self, tmp_path: Path) -> None:
        folder = save_autoencoder(tmp_path, VQModel, vq_embed_dim=2, latent_channels=3)
        network, images = VQModel.from_pretrained(folder, low_cpu_mem_usage=False), pixels(3)
        with torch.no_grad():
            continuous = network.encode(images / 127.5 - 1).latents
            restored = network.decode(continuous).sample
            unquantised = network.decode(continuous, force_not_quantize=True).sample
        autoencoder = opened(folder)
        latents = autoencoder.encode(images)
        assert autoencoder.latent_shape == LATENT == latents.shape[1:]
        torch.testing.assert_close(latents, continuous * 0.5)
        torch.testing.assert_close(autoencoder.decode(latents), restored.clamp(-1, 1))
        assert not torch.allclose(restored, unquantised, atol=1e-2)

    def test_the_configured_scaling_comes_first(self, tmp_path: Path) -> None:
        folder = save_autoencoder(tmp_path)
        own, other = opened(folder), opened(folder, scaling=2.0)
        assert (own.scaling, other.scaling) == (0.5, 2.0)
        torch.testing.assert_close(other.encode(pixels(2)), own.encode(pixels(2)) * 4)
        torch.testing.assert_close(other.decode(other.encode(pixels(2))), own.decode(own.encode(pixels(2))))

    def test_batches_do_not_matter(self, tmp_path: Path) -> None:
        folder = save_autoencoder(tmp_path)
        one, all_ = opened(folder, batch_size=2), opened(folder, batch_size=5)
        latents = one.encode(pixels(5))
        assert latents.shape == (5, *LATENT)
        torch.testing.assert_close(latents, all_.encode(pixels(5)))
        images = one.decode(latents)
        assert images.shape == (5, *one.image_shape) == (5, 1, 8, 8)
        assert images.abs().max() <= 1
        torch.testing.assert_close(images, all_.decode(latents))

    def test_half_precision_weights_compute_in_float32(self, tmp_path: Path) -> None:
        save_autoencoder(tmp_path)
        half = {name: tensor.half() for name, tensor in load_file(tmp_path / WEIGHTS).items()}
        save_file(half, tmp_path / WEIGHTS)
        assert {tensor.dtype for tensor in opened(tmp_path).network.state_dict().values()} == {torch.float32}


class TestLoading:
    def test_frozen_and_leaves_no_trace(self, tmp_path: Path) -> None:
        before = torch.random.get_rng_state()
        network = opened(save_autoencoder(tmp_path)).network
        assert torch.equal(torch.random.get_rng_state(), before)
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())

    def test_one_for_each_process(self, tmp_path: Path) -> None:
        config = small_config(*latent_overrides(save_autoencoder(tmp_path)))
        assert autoencoder_of(config.model, CPU) is autoencoder_of(config.model.model_copy(), CPU)
        assert autoencoder_of(small_config().model, CPU) is None

    def test_a_subfolder(self, tmp_path: Path) -> None:
        save_autoencoder(tmp_path / "vae")
        assert opened(tmp_path, subfolder="vae").identity == opened(tmp_path / "vae").identity

    def test_identity_is_of_options_and_weights(self, tmp_path: Path) -> None:
        same = [opened(save_autoencoder(tmp_path / name)).identity for name in ("a", "b")]
        others = [
            opened(save_autoencoder(tmp_path / "c", seed=1)).identity,
            opened(save_autoencoder(tmp_path / "d", scaling_factor=0.25)).identity,
        ]
        assert same[0] == same[1]
        assert len({same[0], *others}) == 3


class TestHub:
    @pytest.fixture
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Give an empty cache of the hub, which cannot be reached."""
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        return tmp_path / "cache"

    def test_what_was_fetched_before_is_used_offline(self, cache: Path) -> None:
        repository = cache / "models--owner--vae"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        folder = save_autoencoder(repository / "snapshots" / ("0" * 40) / "vae")
        autoencoder = opened("owner/vae", subfolder="vae")  # type: ignore[arg-type]
        assert autoencoder.identity == opened(folder).identity

    def test_unreachable(self, cache: Path) -> None:
        with pytest.raises(SettingError, match="owner/vae: is no folder, and the Hugging Face hub cannot be reached"):
            opened("owner/vae")  # type: ignore[arg-type]


class TestErrors:
    def refused(self, path: object, message: str, **changes: object) -> None:
        with pytest.raises(SettingError, match=message) as error:
            opened(path, **changes)  # type: ignore[arg-type]
        assert error.value.key == "model.autoencoder.path"

    def test_none_given(self) -> None:
        self.refused(None, r"path=null: give the autoencoder: a folder .* or an id of the Hugging Face hub")

    def test_no_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "nowhere", "nowhere: is no folder; give one")
        (tmp_path / "vae.safetensors").touch()
        self.refused(tmp_path / "vae.safetensors", "is no folder; give one")
        self.refused("two words", "neither a folder nor an id")

    def test_no_autoencoder_in_the_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, f"there is no config.json in {tmp_path}; give")
        save_autoencoder(tmp_path)
        self.refused(tmp_path, f"there is no config.json in {tmp_path / 'vae'}", subfolder="vae")

    def test_pickles_are_not_read(self, tmp_path: Path) -> None:
        save_autoencoder(tmp_path)
        torch.save(load_file(tmp_path / WEIGHTS), tmp_path / "diffusion_pytorch_model.bin")
        (tmp_path / WEIGHTS).unlink()
        self.refused(tmp_path, f"there is no {WEIGHTS}")

    def test_another_kind_of_network(self, tmp_path: Path) -> None:
        blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,)}
        UNet2DModel(**GREY, **blocks, norm_num_groups=4).save_pretrained(tmp_path)
        self.refused(tmp_path, "is of class UNet2DModel; must be an AutoencoderKL or a VQModel")

    def test_torn_weights(self, tmp_path: Path) -> None:
        file = save_autoencoder(tmp_path) / WEIGHTS
        file.write_bytes(file.read_bytes()[:-100])
        self.refused(tmp_path, r"cannot be loaded \(.*\); fetch")

    def test_options_that_are_no_json(self, tmp_path: Path) -> None:
        (save_autoencoder(tmp_path) / "config.json").write_text("{")
        self.refused(tmp_path, "cannot be loaded")

    @pytest.mark.parametrize("change", ["less", "more"])
    def test_weights_of_another_network(self, tmp_path: Path, change: str) -> None:
        file = save_autoencoder(tmp_path) / WEIGHTS
        tensors = load_file(file)
        if change == "less":
            del tensors["encoder.conv_in.weight"]
        else:
            tensors["encoder.conv_in.gain"] = torch.ones(1)
        save_file(tensors, file)
        self.refused(tmp_path, r"do not belong together \(encoder.conv_in")

    def test_weights_of_other_shapes(self, tmp_path: Path) -> None:
        save_autoencoder(tmp_path / "other", latent_channels=3)
        shutil.copy(tmp_path / "other" / WEIGHTS, save_autoencoder(tmp_path / "own") / WEIGHTS)
        self.refused(tmp_path / "own", "cannot be loaded")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_size": 9}, r"^model.autoencoder.image_size=9: must be a multiple of 2"),
            ({"image_channels": 3}, r"^model.autoencoder.image_channels=3: the autoencoder's images have 1 channels"),
        ],
    )
    def test_images_that_it_cannot_take(self, tmp_path: Path, changes: dict[str, int], message: str) -> None:
        with pytest.raises(SettingError, match=message):
            opened(save_autoencoder(tmp_path), **changes)

    @pytest.mark.parametrize(("option", "value"), [("in_channels", "1"), ("sample_size", "8")])
    def test_latents_that_do_not_fit_the_unet(self, tmp_path: Path, option: str, value: str) -> None:
        overrides = [*latent_overrides(save_autoencoder(tmp_path)), f"model.unet.{option}={value}"]
        with pytest.raises(SettingError, match=rf"makes 2x4x4 .* expects .*{option}={value}.*model.unet.sample_size=4"):
            autoencoder_of(small_config(*overrides).model, CPU)


class TestLdm256:
    def test_the_unet_is_ldms(self) -> None:
        model = small_config("model=ldm256").model
        with torch.device("meta"):
            unet = UNet2DModel(**model.unet)
        assert sum(parameter.numel() for parameter in unet.parameters()) == 294_966_916
        attentions = [name for name, module in unet.named_modules() if isinstance(module, Attention)]
        assert len(attentions) == 4 * 2 + 1 + 4 * 3
        with torch.no_grad():
            predicted = unet.eval()(torch.empty(1, 4, 32, 32, device="meta"), torch.zeros(1, device="meta")).sample
        assert predicted.shape == (1, 4, 32, 32)

    def test_it_takes_what_divides_256_by_8(self, tmp_path: Path) -> None:
        blocks = {"block_out_channels": (4,) * 4, "latent_channels": 4, "in_channels": 3, "out_channels": 3}
        types = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
        save_autoencoder(tmp_path, **blocks, **types)
        model = small_config("model=ldm256", f"model.autoencoder.path={tmp_path}").model
        autoencoder = autoencoder_of(model, CPU)
        assert autoencoder is not None
        assert (autoencoder.image_shape, autoencoder.latent_shape) == ((3, 256, 256), (4, 32, 32))
        image = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
        assert autoencoder.decode(autoencoder.encode(image)).shape == image.shape

    def test_it_asks_for_an_autoencoder(self) -> None:
        with pytest.raises(SettingError, match="path=null: give the autoencoder"):
            autoencoder_of(small_config("model=ldm256").model, CPU)


class TestPreflight:
    def test_a_run_in_latent_space(self, tmp_path: Path) -> None:
        check(small_config(*latent_overrides(save_autoencoder(tmp_path))))

    def test_a_missing_autoencoder_ends_before_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match=r"^model.autoencoder.path=.*is no folder"):
            check(small_config(*latent_overrides(tmp_path / "nowhere")))

    def test_images_of_another_size(self, tmp_path: Path) -> None:
        overrides = latent_overrides(save_autoencoder(tmp_path), image_size=16)
        with pytest.raises(SettingError, match=r"expects 1x16x16 .*are 1x8x8.*autoencoder.image_size=8"):
            check(small_config(*overrides))

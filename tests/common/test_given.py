"""Reading a model that was trained before, by networks of diffusers that are made here."""

import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from helpers import small_config
from safetensors.torch import load_file, save_file

from fedphd.common.errors import SettingError
from fedphd.common.network.build import dense_structure
from fedphd.common.network.given import Given, check_hash, read_given
from fedphd.common.network.packing import pack

WEIGHTS = "diffusion_pytorch_model.safetensors"
MODEL = small_config().model
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def digits_unet(**options: object) -> UNet2DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return UNet2DModel(**{**MODEL.unet, **options})


def save_unet(folder: Path, **options: object) -> Path:
    digits_unet(**options).save_pretrained(folder)
    return folder


def changed(folder: Path, change: dict[str, torch.Tensor]) -> Path:
    save_file({**load_file(folder / WEIGHTS), **change}, folder / WEIGHTS)
    return folder


def hash_of(given: Given) -> str:
    return given.packed(dense_structure(MODEL)).hash


EXPECTED = pack(digits_unet().state_dict()).hash


def test_a_folder_of_diffusers(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    given = read_given(str(save_unet(tmp_path)))
    assert hash_of(given) == EXPECTED
    assert given.unet is not None and given.unet["freq_shift"] == 0  # a default
    assert (given.model, given.schedule) == (None, None)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_pipeline_tells_its_schedule(tmp_path: Path) -> None:
    scheduler = DDPMScheduler(prediction_type="v_prediction")
    DDPMPipeline(digits_unet(), scheduler).save_pretrained(tmp_path)
    given = read_given(str(tmp_path))
    assert hash_of(given) == EXPECTED
    assert given.schedule is not None and given.schedule["prediction_type"] == "v_prediction"
    assert read_given(str(tmp_path / "unet")).schedule == given.schedule


def test_an_export_tells_the_settings_that_it_was_trained_with(tmp_path: Path) -> None:
    save_unet(tmp_path / "unet")
    (tmp_path / "fedphd.json").write_text(json.dumps({"model": MODEL.model_dump(mode="json"), "diffusion": {}}))
    model = read_given(str(tmp_path)).model
    assert model is not None and model["name"] == "digits8"


def test_names_of_older_versions(tmp_path: Path) -> None:
    state = load_file(save_unet(tmp_path) / WEIGHTS)
    renamed = {}
    for name, tensor in state.items():
        new = next(
            (f".{old}.".join(name.split(f".{own}.")) for own, old in OLD_NAMES.items() if f".{own}." in name), name
        )
        renamed[new] = tensor
    assert renamed.keys() != state.keys()
    save_file(renamed, tmp_path / WEIGHTS)
    assert hash_of(read_given(str(tmp_path))) == EXPECTED


def test_half_precision_is_float32_here(tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in load_file(save_unet(tmp_path) / WEIGHTS).items()}
    packed = read_given(str(changed(tmp_path, half))).packed(dense_structure(MODEL))
    assert packed.hash == pack(half).select(packed.structure).hash


def test_a_narrower_network_is_packed_as_it_is(tmp_path: Path) -> None:
    narrow = pack(digits_unet(block_out_channels=(16, 48)).state_dict())
    given = Given("narrow", dict(digits_unet(block_out_channels=(16, 48)).state_dict()))
    assert given.packed(dense_structure(MODEL)).hash == narrow.hash


class TestErrors:
    def refused(self, path: object, message: str) -> None:
        with pytest.raises(SettingError, match=rf"^model.init=.*{message}") as error:
            hash_of(read_given(str(path)))
        assert "\n" not in str(error.value)

    def test_no_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "nowhere", "is no folder; give one")
        self.refused("two words", "neither a folder nor an id")
        self.refused(tmp_path, f"there is no config.json in {tmp_path}; give")

    def test_pickles_are_not_read(self, tmp_path: Path) -> None:
        save_unet(tmp_path)
        torch.save(load_file(tmp_path / WEIGHTS), tmp_path / "diffusion_pytorch_model.bin")
        (tmp_path / WEIGHTS).unlink()
        self.refused(tmp_path, f"there is no {WEIGHTS}")

    def test_torn_files(self, tmp_path: Path) -> None:
        file = save_unet(tmp_path) / WEIGHTS
        file.write_bytes(file.read_bytes()[:-100])
        self.refused(tmp_path, r"cannot be loaded \(.*\); fetch")
        (save_unet(tmp_path) / "config.json").write_text("[]")
        self.refused(tmp_path, r"cannot be loaded \(config.json must hold one object\)")

    def test_weights_without_a_layer(self, tmp_path: Path) -> None:
        tensors = load_file(save_unet(tmp_path) / WEIGHTS)
        del tensors["conv_in.weight"]
        save_file(tensors, tmp_path / WEIGHTS)
        self.refused(tmp_path, r"its config.json and its weights do not belong together: conv_in.weight")

    def test_numbers_that_are_not_finite(self, tmp_path: Path) -> None:
        save_unet(tmp_path)
        self.refused(changed(tmp_path, {"conv_in.bias": torch.full((32,), torch.nan)}), "conv_in.bias .* not finite")

    def test_another_network(self, tmp_path: Path) -> None:
        told = r"its tensor conv_in.weight has shape \[64, 1, 3, 3\], the configured network's \[32, 1, 3, 3\]"
        self.refused(save_unet(tmp_path / "wide", block_out_channels=(64, 64)), told)
        more = Given("more", {**digits_unet().state_dict(), "extra.weight": torch.ones(3)})
        with pytest.raises(SettingError, match=r"it has a tensor extra.weight of shape \[3\], which the .* has not"):
            hash_of(more)
        told = r"it has no tensor mid_block.attentions.0.\S+, which the configured network has with shape \[64"
        self.refused(save_unet(tmp_path / "without", add_attention=False), told)

    def test_other_weights_than_the_run_was_started_with(self) -> None:
        packed = pack(digits_unet().state_dict())
        check_hash("folder", packed, None)
        check_hash("folder", packed, EXPECTED)
        with pytest.raises(
            SettingError, match=rf"^model.init=folder: has other weights .* {EXPECTED[:16]} instead of 0000"
        ):
            check_hash("folder", packed, "0" * 64)


class TestHub:
    @pytest.fixture
    def snapshot(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Give the folder of owner/unet in a cache of the hub, which cannot be reached."""
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        repository = tmp_path / "cache" / "models--owner--unet"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("0" * 40)
        return repository / "snapshots" / ("0" * 40)

    def test_a_model(self, snapshot: Path) -> None:
        save_unet(snapshot)
        assert hash_of(read_given("owner/unet")) == EXPECTED

    def test_a_pipeline(self, snapshot: Path) -> None:
        DDPMPipeline(digits_unet(), DDPMScheduler(500)).save_pretrained(snapshot)
        given = read_given("owner/unet")
        assert hash_of(given) == EXPECTED
        assert given.schedule is not None and given.schedule["num_train_timesteps"] == 500

    def test_unreachable(self, snapshot: Path) -> None:
        with pytest.raises(
            SettingError, match=r"^model.init=owner/other: is no folder, and the .* hub cannot be reached"
        ):
            read_given("owner/other")

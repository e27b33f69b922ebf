"""The model before the first round, where the user gives one: what fits, what is noted, what is refused."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel
from helpers import small_config

from fedphd.common.config import Config, to_yaml
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.pruning import prune
from fedphd.common.run.run_folder import CHECKPOINTS
from fedphd.server import checkpoint
from fedphd.server.first_model import first_model, identified, pruned_first_model
from fedphd.server.given_classes import as_setting
from fedphd.server.state import GlobalState

DENSE = build_unet(small_config().model, seed=5)
PRUNED, _ = prune(DENSE, 0.44)


def saved(folder: Path, **options: object) -> Path:
    """Save a network like that of the digits, as diffusers does."""
    UNet2DModel(**{**small_config().model.unet, **options}).save_pretrained(folder)
    return folder


def run_of(folder: Path, model: PackedModel, ema: PackedModel | None = None, config: Config | None = None) -> Path:
    """Write what a run leaves at its root."""
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(config or small_config()))
    checkpoint.save(GlobalState(1, model, ema), folder / CHECKPOINTS, keep=1)
    return folder


def started(path: Path, *overrides: str) -> Config:
    return small_config(f"model.init={path}", *overrides)


def refused(config: Config, told: str) -> str:
    with pytest.raises(SettingError, match=rf"^model.init=.*{told}") as error:
        identified(config)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- what fits --------------------------------------------------------------------------------------


def test_a_folder_of_diffusers_is_the_first_model(tmp_path: Path) -> None:
    DENSE.save_pretrained(tmp_path)  # type: ignore[operator]
    config = started(tmp_path)
    assert first_model(config).hash == pack(DENSE.state_dict()).hash
    known, notes = identified(config)
    assert (known.model.init_hash, notes) == (pack(DENSE.state_dict()).hash, [])
    assert first_model(known).hash == known.model.init_hash


def test_without_one_it_is_drawn_from_the_seed() -> None:
    config = small_config()
    assert identified(config) == (config, [])
    assert first_model(config).hash == pack(build_unet(config.model, config.seed).state_dict()).hash


def test_of_a_run_it_is_the_average_where_there_is_one(tmp_path: Path) -> None:
    model = pack(DENSE.state_dict())
    average = PackedModel(model.structure, model.vector / 2)
    assert first_model(started(run_of(tmp_path / "a", model))).hash == model.hash
    assert first_model(started(run_of(tmp_path / "b", model, average))).hash == average.hash


def test_it_is_pruned_at_the_start_if_the_method_says_so(tmp_path: Path) -> None:
    DENSE.save_pretrained(tmp_path)  # type: ignore[operator]
    config = started(tmp_path, "pruning=at_start", "pruning.ratio=0.44")
    assert first_model(config).hash == pack(DENSE.state_dict()).hash
    assert pruned_first_model(config).hash == pack(PRUNED.state_dict()).hash


def test_one_that_was_pruned_goes_on_as_it_is(tmp_path: Path) -> None:
    pruned = pack(PRUNED.state_dict())
    run = run_of(tmp_path / "run", pruned)
    assert first_model(started(run)).hash == pruned.hash
    [note] = identified(started(run))[1]
    assert note == "model.init was pruned before: it has 180,512 of 701,345 parameters, and goes on as it is"
    refused(started(run, "pruning=at_start", "pruning.ratio=0.44"), "was pruned before, .* use pruning=none")


# --- what is refused, and what would fit ------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"block_out_channels": [16, 64]}, r"conv_in.weight has shape \[16, 1, 3, 3\], the configured network's \[32"),
        ({"layers_per_block": 2}, r"its tensor up_blocks.0.resnets.1.norm1.weight has shape \[128\]"),
        ({"flip_sin_to_cos": False, "freq_shift": 1}, "its weights would fit, but make another function"),
        ({"norm_eps": 1e-6}, "its weights would fit, but make another function"),
        ({"attention_head_dim": None}, "its weights would fit, but make another function"),
        ({"time_embedding_type": "learned", "num_train_timesteps": 1000}, "which the configured network has not"),
    ],
)
def test_the_settings_that_the_error_names_are_right(tmp_path: Path, options: dict[str, object], told: str) -> None:
    config = started(saved(tmp_path, **options))
    error = refused(config, told)
    advice = error.partition("set what it was made with: ")[2]
    settings = shlex.split(advice)
    assert [setting.split("=")[0].rpartition(".")[2] for setting in settings] == sorted(options)
    assert identified(started(tmp_path, *settings))[1] == []


def test_a_model_that_is_told_no_classes(tmp_path: Path) -> None:
    labels = ("model.classes=labels", "++model.unet.num_class_embeds=11")
    told = r"it has no tensor class_embedding.weight, .*; set what it was made with: model.classes=null$"
    refused(started(saved(tmp_path / "none"), *labels), told)
    told = r"it has a tensor class_embedding.weight .*; set what it was made with: model.classes=labels$"
    refused(started(saved(tmp_path / "some", num_class_embeds=11)), told)
    assert identified(started(tmp_path / "some", *labels))[1] == []
    told = r"class_embedding.weight has shape \[4, .*; set what it was made with: data.classes with 3 names$"
    refused(started(saved(tmp_path / "other", num_class_embeds=4), *labels), told)
    told = r"class_embedding.weight has shape \[13, .*; set what it was made with: data.classes with 12 names$"
    refused(started(saved(tmp_path / "more", num_class_embeds=13), *labels), told)


class TestClasses:
    """Numbers of classes mean the same to a given model and to the run."""

    NAMES = ("bird", "cat", "dog")

    @pytest.fixture
    def export(self, tmp_path: Path) -> Path:
        facts = {"model": self.config(tmp_path, self.NAMES).model.model_dump(mode="json"), "diffusion": {}}
        unet = {**facts["model"]["unet"]}
        UNet2DModel(**unet).save_pretrained(tmp_path / "out" / "unet")
        (tmp_path / "out" / "fedphd.json").write_text(json.dumps({**facts, "classes": self.NAMES}))
        return tmp_path / "out"

    @staticmethod
    def config(folder: Path, names: Sequence[str], *overrides: str) -> Config:
        labels = np.arange(6) % len(names)
        np.savez(folder / "own.npz", images=np.zeros((6, 8, 8), np.uint8), labels=np.array(names)[labels])
        told = ["model.classes=labels", f"++model.unet.num_class_embeds={len(names) + 1}"]
        listed = f"data.classes=[{','.join(names)}]"
        return small_config("data=npz", f"data.path={folder / 'own.npz'}", listed, *told, *overrides)

    def test_the_same(self, export: Path, tmp_path: Path) -> None:
        assert identified(self.config(tmp_path, self.NAMES, f"model.init={export}"))[1] == []

    @pytest.mark.parametrize("names", [("x", "bird", "cat"), ("dog", "cat", "bird"), ("bird", "cat", "dogs")])
    def test_others(self, export: Path, tmp_path: Path, names: Sequence[str]) -> None:
        told = r"was told the classes bird,cat,dog, and this run has .*; set 'data.classes=\[bird,cat,dog\]'$"
        assert ",".join(names) in refused(self.config(tmp_path, names, f"model.init={export}"), told)

    def test_another_number(self, export: Path, tmp_path: Path) -> None:
        told = r"set what it was made with: 'data.classes=\[bird,cat,dog\]'$"
        for names in (("bird", "cat"), ("bird", "cat", "dog", "x")):
            refused(self.config(tmp_path, names, f"model.init={export}"), told)

    def test_of_a_run(self, tmp_path: Path) -> None:
        config = self.config(tmp_path, self.NAMES)
        run = run_of(tmp_path / "run", pack(build_unet(config.model, 0).state_dict()), config=config)
        assert identified(self.config(tmp_path, ("a", "b", "c"), f"model.init={run}"))[1] == []  # it has not told
        (run / "partition.json").write_text(json.dumps({"class_names": self.NAMES, "clients": {}}))
        refused(self.config(tmp_path, ("a", "b", "c"), f"model.init={run}"), "was told the classes bird,cat,dog, and")

    def test_names_are_quoted_where_they_must_be(self) -> None:
        assert as_setting(("a b", "null")) == '\'data.classes=["a b","null"]\''
        assert compose_data(as_setting(("it's", "null", "7"))) == ("it's", "null", "7")


def compose_data(setting: str) -> object:
    [word] = shlex.split(setting)
    return small_config("data=npz", "data.path=/own.npz", word).data.fixed_classes


def test_a_model_of_this_program_is_named(tmp_path: Path) -> None:
    other = small_config("model=fashion28")
    run = run_of(tmp_path / "run", pack(build_unet(other.model, 0).state_dict()), config=other)
    refused(started(run), r"shape .*; it was trained with model=fashion28, and this run has model=digits8")


def test_settings_that_this_version_does_not_have(tmp_path: Path) -> None:
    DENSE.save_pretrained(tmp_path / "unet")  # type: ignore[operator]
    (tmp_path / "fedphd.json").write_text(json.dumps({"model": {"name": "digits8"}, "diffusion": {}}))
    refused(started(tmp_path), r"its fedphd.json or config.yaml is not of this version of fedphd \(")


def test_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(small_config()))
    refused(started(tmp_path), "has no checkpoint yet")


def test_clients_cannot_read_a_run(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", pack(DENSE.state_dict()))
    refused(started(run, "adapters=lora"), r"is a run, .*every client reads .* \(fedphd export \S+ OUT\)")


def test_other_weights_than_those_of_the_hash(tmp_path: Path) -> None:
    DENSE.save_pretrained(tmp_path)  # type: ignore[operator]
    config = identified(started(tmp_path))[0]
    saved(tmp_path)
    with pytest.raises(SettingError, match=r"^model.init=.*has other weights here than the run was started with"):
        first_model(config)


# --- what is noted ----------------------------------------------------------------------------------


def test_another_process_is_noted_and_another_prediction_refused(tmp_path: Path) -> None:
    scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    DDPMPipeline(DENSE, scheduler).save_pretrained(tmp_path)
    refused(started(tmp_path), "predicts v_prediction, and this run trains epsilon; set diffusion.prediction=v")
    [note] = identified(started(tmp_path, "diffusion.prediction=v"))[1]
    assert note == "model.init was trained with beta_schedule=squaredcos_cap_v2 (now linear)"


def test_images_of_another_size_are_noted(tmp_path: Path) -> None:
    [note] = identified(started(saved(tmp_path, sample_size=16, dropout=0.3)))[1]
    assert note == "model.init was trained with sample_size=16 (now 8)"


def test_a_resumed_run_does_not_need_it(tmp_path: Path) -> None:
    config = small_config(f"model.init={tmp_path / 'gone'}", f"checkpoint.resume={tmp_path}")
    assert identified(config) == (config, [])


def test_adapters_leave_the_given_weights_out_of_the_first_model(tmp_path: Path) -> None:
    DENSE.save_pretrained(tmp_path)  # type: ignore[operator]
    config, _ = identified(started(tmp_path, "adapters=lora"))
    assert config.model.init_hash == pack(DENSE.state_dict()).hash
    model = first_model(config)
    assert model.structure.size == 16_384
    assert np.isfinite(model.vector).all()

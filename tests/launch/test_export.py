"""`fedphd export` and `fedphd sample`: what is taken away draws elsewhere what it draws here."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from exported_runs import CLASSES, TINY, card_code, command, in_a_fresh_environment, write_all, write_run
from helpers import small_config
from PIL import Image, ImageChops
from run_writer import metrics_line
from tiny_autoencoder import save_autoencoder

from fedphd.common.errors import SettingError
from fedphd.common.network.build import dense_structure
from fedphd.common.network.exported import REST, exported_weights
from fedphd.common.network.given import read_given
from fedphd.common.network.packing import unpack
from fedphd.launch.ending import UsageError
from fedphd.launch.export.origin import hub_id, origin
from fedphd.server.trained import trained_model

PLAIN = ["dense", "uniform", "ddpm"]
STRANGE = ["irregular", "classes", "convnext", "convnext_pruned", "latents", "latents_whole"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return write_all(folder, save_autoencoder(folder / "autoencoder"))


@pytest.fixture(scope="module")
def exports(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    for name, run in runs.items():
        more = ["--include-autoencoder"] if name == "latents_whole" else []
        command("export", run, folder / name, *more)
    return {name: folder / name for name in runs}


@pytest.fixture(scope="module")
def drawn(exports: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run each card's Python where this project is not; give the grids."""
    folder = tmp_path_factory.mktemp("elsewhere")
    said = in_a_fresh_environment({name: card_code(export) for name, export in exports.items()}, folder)
    assert "not expected" not in said and "Expected types" not in said
    return {name: folder / name / "grid.png" for name in exports}


def assert_same(one: Path, other: Path) -> None:
    first, second = Image.open(one), Image.open(other)
    assert first.size == second.size
    assert ImageChops.difference(first, second).getbbox() is None


@pytest.mark.parametrize("name", PLAIN + STRANGE)
def test_the_cards_call_the_run_and_the_export_draw_the_same(
    name: str, runs: dict[str, Path], exports: dict[str, Path], drawn: dict[str, Path], tmp_path: Path
) -> None:
    classes = ["--class", "all"] if name == "classes" else []
    for model in (runs[name], exports[name]):
        command("sample", model, "--n", "16", "--out", tmp_path / f"{model.parent.name}.png", *classes)
        assert_same(tmp_path / f"{model.parent.name}.png", drawn[name])
    assert Image.open(drawn[name]).getextrema() != ((0, 0),) * 3


@pytest.mark.parametrize("name", PLAIN)
def test_a_uniform_network_is_plain_diffusers(name: str, exports: dict[str, Path]) -> None:
    index = json.loads((exports[name] / "model_index.json").read_text())
    assert index["_class_name"] in ("DDIMPipeline", "DDPMPipeline")
    assert index["unet"] == ["diffusers", "UNet2DModel"]
    assert not list(exports[name].rglob("*.py"))


@pytest.mark.parametrize("name", PLAIN + STRANGE)
def test_an_export_has_the_trained_weights(name: str, runs: dict[str, Path], exports: dict[str, Path]) -> None:
    trained = unpack(trained_model(runs[name])[1])
    weights = exported_weights(exports[name])
    assert weights.keys() == trained.keys()
    assert all(torch.equal(weights[key], trained[key]) for key in trained)
    assert {file.suffix for file in exports[name].rglob("*") if file.is_file()} <= {
        ".json",
        ".md",
        ".py",
        ".safetensors",
    }


@pytest.mark.parametrize("name", PLAIN + STRANGE)
def test_nothing_tells_where_on_this_machine_it_came_from(
    name: str, runs: dict[str, Path], exports: dict[str, Path]
) -> None:
    referred = name == "latents"  # to an autoencoder's folder
    for file in exports[name].rglob("*.json"):
        assert (str(runs[name].parent) in file.read_text()) == (referred and file.name == "fedphd.json")


@pytest.mark.parametrize("name", PLAIN + STRANGE)
def test_the_card_says_what_it_is(name: str, exports: dict[str, Path]) -> None:
    text = (exports[name] / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    facts: dict[str, Any] = yaml.safe_load(front)
    assert facts["license"] == "other" and facts["library_name"] == "diffusers"
    assert "federated-learning" in facts["tags"]
    assert "`fd_classifier` is 31.2 after root round 1 (lower is better); as many real images score 0.800" in body
    assert "| between edges and clients | 0 MB | 2.00 MB |" in body
    assert "the 4 clients told of their labels, they trained on 54 images" in body
    assert "| two\\|three | 0 |" in body and "| &lt;b> | 8 |" in body
    assert "no differential privacy" in body


def test_a_new_run_starts_from_the_trained_weights(runs: dict[str, Path], exports: dict[str, Path]) -> None:
    for name in ("dense", "uniform", "irregular"):
        config, model = trained_model(runs[name])
        packed = read_given(str(exports[name])).packed(dense_structure(config.model))
        assert packed.hash == model.hash


def test_a_raw_model_its_licence_and_noisy_counts(runs: dict[str, Path], tmp_path: Path) -> None:
    config = runs["dense"] / "config.yaml"
    before = config.read_text()
    config.write_text(before.replace("histogram_epsilon: null", "histogram_epsilon: 0.5"))
    command("export", runs["dense"], tmp_path / "raw", "--raw", "--license", "apache-2.0")
    config.write_text(before)
    card = (tmp_path / "raw" / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "apache-2.0"
    assert "latest aggregate" in card and "with the moving average, not with these weights" in card
    assert "Laplace noise of scale 1/0.5" in card
    raw = unpack(trained_model(runs["dense"], ema=False)[1])
    assert all(torch.equal(one, raw[key]) for key, one in exported_weights(tmp_path / "raw").items())


def test_weights_that_another_export_left_there_are_not_read(runs: dict[str, Path], tmp_path: Path) -> None:
    for name in ("dense", "uniform"):
        command("export", runs[name], tmp_path / name)
    shutil.copy(tmp_path / "uniform" / REST, tmp_path / "dense")
    trained = unpack(trained_model(runs["dense"])[1])
    assert all(torch.equal(one, trained[key]) for key, one in exported_weights(tmp_path / "dense").items())


def test_the_card_of_a_fine_tuned_model_that_clients_measured(tmp_path: Path) -> None:
    asked = ["partition.holdout=0.2", "evaluation=grid", "evaluation.own=true", "evaluation.memorisation=10"]
    given = ["model.init=owner/unet", f"model.init_hash={'ab' * 32}"]
    run = write_run(tmp_path / "run", *TINY, *asked, *given)
    found = {"own_loss": 0.25, "own_loss/client-0": 0.5, "copied_share": 0.125}
    (run / "metrics.jsonl").write_text(json.dumps(metrics_line(2, **found)) + "\n")
    command("export", run, tmp_path / "out")
    _, front, body = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["base_model"] == "owner/unet"
    assert "| started from | `owner/unet`, SHA-256 abababababababab |" in body
    assert "they trained on 54 images, and held out 20% of their images" in body
    assert "No distance to real images was measured; below is what was found after root round 2." in body
    assert "`copied_share` is the share of generated images that are copies" in body
    assert "| `own_loss` | 0.25 |" in body and "| `copied_share` | 0.125 |" in body
    for told in ("losses on some of the images", "distances of generated and held-out images from the nearest of them"):
        assert told in body.partition("## Drawing")[0] and told in body.partition("## Privacy")[2]


def test_folders_of_this_machine_are_not_named() -> None:
    model = small_config().model.model_copy(update={"init": "/data/of/ours", "init_hash": "cd" * 32})
    assert (hub_id(model.init), list(origin(model))) == (
        None,
        [("started from", "given weights, SHA-256 cdcdcdcdcdcdcdcd")],
    )
    lora = small_config("adapters=lora", "model.init=owner/unet").model
    assert list(origin(lora)) == [("started from", "`owner/unet`"), ("adapters", "lora, added into the weights")]


def test_onnx_predicts_the_same(runs: dict[str, Path], tmp_path: Path) -> None:
    import onnxruntime

    for name in ("irregular", "classes"):
        command("export", runs[name], tmp_path / name, "--onnx")
        session = onnxruntime.InferenceSession(tmp_path / name / "onnx" / "unet.onnx")
        inputs = [one.name for one in session.get_inputs()]
        assert inputs == ["sample", "timestep", "class_labels"][: 3 if name == "classes" else 2]


def test_a_part_of_the_images_is_the_same(runs: dict[str, Path], tmp_path: Path) -> None:
    """Image i depends on seed + i alone, up to the last bits of sums."""
    command("sample", runs["dense"], "--n", "4", "--out", tmp_path / "all", "--seed", "3")
    command("sample", runs["dense"], "--n", "2", "--out", tmp_path / "last", "--seed", "5", "--batch", "1")
    for whole, part in (("2", "0"), ("3", "1")):
        first, second = (Image.open(tmp_path / at).convert("L") for at in (f"all/{whole}.png", f"last/{part}.png"))
        assert max(ImageChops.difference(first, second).getextrema()) <= 1
    assert Image.open(tmp_path / "all/0.png").size == (8, 8)


def test_another_sampler_and_named_classes_in_a_folder(exports: dict[str, Path], tmp_path: Path) -> None:
    command(
        "sample", exports["uniform"], "--n", "2", "--sampler", "dpm_solver", "--steps", "3", "--out", tmp_path / "a.png"
    )
    chosen = ["--class", "3,two|three", "--guidance", "1"]
    command("sample", exports["classes"], "--n", "3", *chosen, "--out", f"{tmp_path}/b/")
    assert [file.name for file in sorted((tmp_path / "b").iterdir())] == ["0_-b-.png", "1_two-three.png", "2_-b-.png"]
    command("sample", exports["classes"], "--n", "2", "--out", tmp_path / "none.png")  # of no class
    assert Image.open(tmp_path / "a.png").size == (128, 64)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "{dense}", "--out", "g.png", "--class", "1"], "--class=1: this model was trained without classes"),
        (["sample", "{dense}", "--out", "g.png", "--guidance", "2"], "--guidance=2.0: this model was trained without"),
        (["sample", "{classes}", "--out", "g.png", "--guidance", "2"], "guides towards a class; say which"),
        (
            ["sample", "{classes}", "--out", "g.png", "--class", "four"],
            r"--class=four: there is no such class; .*0 zero",
        ),
        (
            ["sample", "{dense}", "--out", "g.png", "--steps", "7"],
            r"--steps=7: does not go evenly .* nearest that does",
        ),
        (["sample", "{dense}", "--out", "g.nothing"], "--out=g.nothing: Pillow writes no .nothing files"),
        (["sample", "{dense}", "--out", "{dense}"], "is there already and not an empty folder"),
        (["sample", "nowhere", "--out", "g.png"], "model=nowhere: there is no such folder"),
        (
            ["sample", "a/b", "--out", "g.png"],
            r"model=a/b: is no folder, and cannot be fetched from the Hugging Face hub",
        ),
        (["sample", "{dense}/none", "--out", "g.png"], "model=.*/none: there is no such folder"),
        (["sample", "{dense}", "--out", "{dense}/config.yaml/g.png"], "--out=.*/g.png: cannot be written"),
        (["sample", "{dense}", "--out", "/proc/none/g.png"], "--out=/proc/none/g.png: cannot be written"),
        (["sample", "{classes}", "--out", "g.png", "--class", "1", "--guidance", "-1"], "^--guidance=-1.0: "),
        (["sample", ".", "--out", "g.png"], "is neither a run folder nor an export"),
        (["export", "{dense}", "{classes}"], r"OUT=.*: is there already and not an empty folder"),
        (["export", "nowhere", "out"], "RUN=nowhere: is not a run folder"),
        (["export", "{dense}", "out", "--round", "9"], "--round=9: there is no checkpoint of this round"),
        (["export", "{dense}", "out", "--push-to-hub", "name"], "--push-to-hub=name: .*use OWNER/NAME"),
        (["export", "{dense}", "out", "--include-autoencoder"], "--include-autoencoder=true: this model draws pixels"),
        (["export", "{latents}", "out", "--push-to-hub", "a/b"], "autoencoder is in a folder of this machine"),
    ],
)
def test_what_cannot_work_is_one_line(
    words: list[str], said: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(SettingError, match=said) as raised:
        command(*(word.format(**runs) for word in words))
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_mistyped_run_beside_others_is_no_id_of_the_hub(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    (tmp_path / "runs").mkdir()
    with pytest.raises(SettingError, match=r"^model=runs/none: there is no such folder"):
        command("sample", "runs/none", "--out", "g.png")
    with pytest.raises(SettingError, match=r"^model\.init=runs/none: there is no such folder in runs"):
        read_given("runs/none")


@pytest.mark.parametrize("seed", ["99999999999999999999", "-1"])
def test_a_seed_that_is_none(runs: dict[str, Path], seed: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"argument --seed: {seed} must be at"):
        command("sample", runs["dense"], "--n", "1", "--seed", seed, "--out", tmp_path / "g.png")


def test_the_largest_seed(runs: dict[str, Path], tmp_path: Path) -> None:
    command("sample", runs["dense"], "--n", "2", "--seed", str(2**63 - 1), "--out", tmp_path / "g.png")


def test_an_export_that_was_damaged_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command("export", runs["dense"], out)
    with pytest.raises(SettingError, match="--raw=true: is for a run's folder"):
        command("sample", out, "--out", tmp_path / "g.png", "--raw")
    facts = json.loads((out / "fedphd.json").read_text())
    (out / "fedphd.json").write_text(json.dumps(facts | {"diffusion": {"timesteps": 0}}))
    with pytest.raises(SettingError, match="is an export of another version"):
        command("sample", out, "--out", tmp_path / "g.png")
    (out / "fedphd.json").write_text(json.dumps(facts))
    (out / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"torn")
    with pytest.raises(SettingError, match="is an export that cannot be loaded"):
        command("sample", out, "--out", tmp_path / "g.png")


def test_class_names_of_another_number_are_numbers(runs: dict[str, Path], tmp_path: Path) -> None:
    partition = runs["classes"] / "partition.json"
    before = partition.read_text()
    partition.write_text(json.dumps(json.loads(before) | {"class_names": CLASSES[:2]}))
    command("export", runs["classes"], tmp_path / "out")
    partition.write_text(before)
    assert json.loads((tmp_path / "out" / "fedphd.json").read_text())["classes"] == ["0", "1", "2", "3"]

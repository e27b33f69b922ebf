import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from PIL import Image

from fedphd.common.config import compose
from fedphd.common.data import load
from fedphd.common.errors import SettingError
from fedphd.server.evaluation import Evaluator
from fedphd.server.evaluation.frechet import fit_gaussian, frechet_distance
from fedphd.server.recorder import check_outlets

QUICK = [
    "sampler.steps=2",
    "evaluation.images=12",
    "evaluation.final_images=null",
    "evaluation.grid_images=5",
    "evaluation.batch_size=8",
    "evaluation.classifier_epochs=2",
    "runtime.device=cpu",
]


def tiny_unet(seed=0, channels=1):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=8,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
        )


def without_time(metrics):
    assert metrics["evaluation_seconds"] > 0
    return {name: value for name, value in metrics.items() if name != "evaluation_seconds"}


def archive(folder, holdout=True):
    """Two classes of 8x8 images, dark and bright."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = (rng.integers(100, size=(40, 8, 8)) + 150 * labels[:, None, None]).astype(np.uint8)
    parts = {"test_x": images[30:], "test_y": labels[30:]} if holdout else {}
    np.savez(folder / "images.npz", train_x=images[:30], train_y=labels[:30], **parts)
    return ["data=npz", f"data.path={folder / 'images.npz'}"]


def test_a_resumed_run_measures_the_same(tmp_path):
    config = compose(QUICK)
    first = Evaluator(config, tmp_path)
    metrics = without_time(first.evaluate(0, tiny_unet()))
    assert list(metrics) == ["fd_classifier", *(f"class_share/{digit}" for digit in range(10))]
    kept = {path.name: path for path in (tmp_path / "evaluation").rglob("*.*")}
    assert sorted(kept) == ["classifier.safetensors", "fd_classifier_train.npz"]

    resumed = Evaluator(config, tmp_path)
    assert without_time(resumed.evaluate(1, tiny_unet())) == metrics
    assert resumed.references(1) == first.references(0)
    grids = [(tmp_path / "samples" / f"round_000{round}.png").read_bytes() for round in (0, 1)]
    assert grids[0] == grids[1]

    fresh = Evaluator(config, tmp_path / "elsewhere")
    assert without_time(fresh.evaluate(0, tiny_unet())) == metrics
    assert without_time(fresh.evaluate(0, tiny_unet(seed=1)))["fd_classifier"] != metrics["fd_classifier"]


def test_real_statistics_are_read_back(tmp_path):
    config = compose(QUICK + archive(tmp_path))
    distance = Evaluator(config, tmp_path).evaluate(0, tiny_unet())["fd_classifier"]
    (file,) = (tmp_path / "evaluation").rglob("fd_classifier_train.npz")
    kept = dict(np.load(file))
    np.savez(file, **kept | {"mean": kept["mean"] + 10})
    assert Evaluator(config, tmp_path).evaluate(0, tiny_unet())["fd_classifier"] > distance + 10


def test_other_choices_make_another_classifier(tmp_path):
    for epochs in (1, 2, 1):
        Evaluator(compose([*QUICK, f"evaluation.classifier_epochs={epochs}"]), tmp_path).evaluate(0, tiny_unet())
    assert len(list((tmp_path / "evaluation").rglob("classifier.safetensors"))) == 2


def test_distance_grows_as_real_images_are_spoilt(tmp_path):
    config = compose([*QUICK, "evaluation.classifier_epochs=10"])
    evaluator = Evaluator(config, tmp_path)
    reference = evaluator.references(0)["fd_classifier_reference"]
    extractor, held_out = evaluator.measuring.features, load(config.data, "holdout", 0).images()
    train = fit_gaussian(extractor.features(load(config.data, "train", 0).images()))
    rng = np.random.default_rng(0)
    distances = [reference]
    for noise in (40, 80, 160):
        spoilt = np.clip(held_out + rng.normal(0, noise, held_out.shape), 0, 255).astype(np.uint8)
        distances.append(frechet_distance(train, fit_gaussian(extractor.features(spoilt))))
    assert all(better < worse for better, worse in pairwise(distances))
    # All 297 held-out images against all 1,500 training images.
    expected = frechet_distance(train, fit_gaussian(extractor.features(held_out)))
    assert reference == pytest.approx(expected, rel=1e-9)


def test_grid_only_never_touches_the_data(tmp_path):
    (tmp_path / "broken.npz").touch()
    broken = ["data=npz", f"data.path={tmp_path / 'broken.npz'}"]
    evaluator = Evaluator(compose(["evaluation=grid", "sampler.steps=2", *broken]), tmp_path)
    assert without_time(evaluator.evaluate(12, tiny_unet())) == {}
    assert evaluator.references(12) == {}
    with Image.open(tmp_path / "samples" / "round_0012.png") as picture:
        assert picture.size == (8 * 66 + 2, 8 * 66 + 2)  # 64 images
    with pytest.raises(SettingError, match=r"data\.path"):
        Evaluator(compose(QUICK + broken), tmp_path).evaluate(0, tiny_unet())


def test_no_reference_where_nothing_is_held_out(tmp_path):
    every_image = [*archive(tmp_path, holdout=False), "data.holdout=0"]
    floor = ["fd_classifier_floor", "fd_classifier_floor_std"]
    assert list(Evaluator(compose(QUICK + every_image), tmp_path).references(0)) == floor
    a_tenth = [*archive(tmp_path, holdout=False), "data.holdout=0.1"]
    assert list(Evaluator(compose(QUICK + a_tenth), tmp_path).references(0)) == ["fd_classifier_reference", *floor]


def test_own_extractor_names_the_metric(tmp_path, monkeypatch):
    (tmp_path / "corner_pixels.py").write_text("def Corners(images):\n    return images[:, 0, ::7, ::7].flatten(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    evaluator = Evaluator(compose([*QUICK, "evaluation.extractor='corner_pixels:Corners'"]), tmp_path)
    assert list(without_time(evaluator.evaluate(0, tiny_unet()))) == ["fd_corners"]
    assert list(evaluator.references(0)) == ["fd_corners_reference", "fd_corners_floor", "fd_corners_floor_std"]


def test_a_diverged_unet_gives_bad_numbers_not_an_error(tmp_path):
    unet = tiny_unet()
    with torch.no_grad():
        unet.conv_out.bias.fill_(torch.nan)
    metrics = Evaluator(compose(QUICK), tmp_path).evaluate(0, unet)
    assert json.dumps(metrics, allow_nan=False)
    with Image.open(tmp_path / "samples" / "round_0000.png") as picture:
        assert picture.getpixel((10, 10)) == (128, 128, 128)


def test_inception_is_fid_and_misses_its_weights_at_once(tmp_path):
    weights = tmp_path / "inception-2015-12-05.pt"
    config = compose(["evaluation=fid", f"evaluation.inception_weights={weights}", "runtime.device=cpu"])
    with pytest.raises(SettingError, match=r"evaluation\.inception_weights=.*no such file"):
        Evaluator(config, tmp_path)
    weights.touch()
    assert check_outlets(config, tmp_path) == config
    assert Evaluator(config, tmp_path).extractor.metric == "fid"


def test_more_images_are_measured_at_the_end(tmp_path):
    config = compose([*QUICK, "rounds=3", "evaluation.final_images=20", "pruning=none"])
    evaluator = Evaluator(config, tmp_path)
    assert [evaluator.images(round) for round in (0, 2, 3)] == [12, 12, 20]
    images = load(config.data, "holdout", 0).images()
    alone = [evaluator.measuring.measure(images[:count])["fd_classifier"] for count in (12, 20)]
    assert [evaluator.measure(round, images)["fd_classifier"] for round in (2, 3)] == alone
    few, many = evaluator.references(2), evaluator.references(3)
    assert few["fd_classifier_floor"] > many["fd_classifier_floor"] > 0
    assert few["fd_classifier_reference"] == many["fd_classifier_reference"]


def test_the_reference_can_be_what_is_held_out(tmp_path):
    evaluator = Evaluator(compose([*QUICK, "evaluation.reference=holdout"]), tmp_path)
    held_out, trained_on = (load(evaluator.config.data, split, 0).images() for split in ("holdout", "train"))
    assert evaluator.measuring.measure(held_out)["fd_classifier"] == pytest.approx(0, abs=1e-6)
    reference = evaluator.references(0)["fd_classifier_reference"]
    assert evaluator.measuring.measure(trained_on)["fd_classifier"] == pytest.approx(reference, rel=1e-6)
    usual = Evaluator(compose(QUICK), tmp_path).references(0)
    assert reference == pytest.approx(usual["fd_classifier_reference"], rel=1e-6)


def test_a_reference_that_is_not_there(tmp_path):
    nothing = [*archive(tmp_path, holdout=False), "data.holdout=0", "evaluation.reference=holdout"]
    with pytest.raises(SettingError, match=r"^evaluation\.reference=holdout: has 0 images, .*use train"):
        Evaluator(compose(QUICK + nothing), tmp_path).references(0)


def test_a_reference_score_needs_images_enough_for_each_measure(tmp_path):
    """Too few held-out images for one end no run: the other split only tells what real images score."""
    floor = ["fd_classifier_floor", "fd_classifier_floor_std"]
    three = [*QUICK, *archive(tmp_path, holdout=False), "data.holdout=0.1"]
    for measures, further in (
        ("kid", ["fd_classifier_reference", "kd_classifier_reference"]),
        ("precision_recall", []),
    ):
        config = compose([*three, f"evaluation.measures=[{measures}]"])
        assert list(Evaluator(config, tmp_path).references(0)) == [*further, *floor]


def test_further_measures_stand_beside_the_main_one(tmp_path):
    evaluator = Evaluator(compose([*QUICK, "evaluation.measures=[kid,precision_recall]"]), tmp_path)
    further = ["kd_classifier", "precision_classifier", "recall_classifier"]
    metrics = without_time(evaluator.evaluate(0, tiny_unet()))
    assert [name for name in metrics if "/" not in name] == ["fd_classifier", *further]
    references = evaluator.references(0)
    assert list(references)[:4] == [f"{name}_reference" for name in ("fd_classifier", *further)]
    assert metrics["kd_classifier"] > 10 * abs(references["kd_classifier_reference"])
    assert references["precision_classifier_reference"] > 0.5
    assert Evaluator(evaluator.config, tmp_path / "again").references(0) == references


def test_measures_need_an_extractor(tmp_path):
    with pytest.raises(SettingError, match=r"^evaluation\.measures=.*without an extractor"):
        Evaluator(compose(["evaluation=grid", "+evaluation.measures=[kid]"]), tmp_path)

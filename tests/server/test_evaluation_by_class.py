"""Evaluating a model that is told classes: which are asked for, shown and recognised."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedphd.common.config import Config, compose
from fedphd.common.network.build import build_unet
from fedphd.common.wire.messages import Drawing
from fedphd.launch.classes import with_classes
from fedphd.server.evaluation import Evaluator
from fedphd.server.evaluation.clients import evaluate_clients

QUICK = [
    *("model.classes=labels", "model.unet.block_out_channels=[8,8]", "model.unet.norm_num_groups=2"),
    *("sampler.steps=2", "evaluation.images=12", "evaluation.final_images=null", "evaluation.grid_images=6"),
    *("evaluation.batch_size=8", "evaluation.classifier_epochs=2", "runtime.device=cpu"),
]


def unbalanced(folder: Path, *more: str) -> Config:
    """Three quarters of the reference images are dark."""
    labels = (np.arange(40) % 4 == 0).astype(int)
    images = (np.random.default_rng(0).integers(100, size=(40, 8, 8)) + 150 * labels[:, None, None]).astype(np.uint8)
    np.savez(folder / "images.npz", train_x=images, train_y=labels, test_x=images, test_y=labels)
    return with_classes(compose([*QUICK, "data=npz", f"data.path={folder / 'images.npz'}", "partition=iid", *more]))


def test_classes_are_asked_for_as_the_reference_has_them(tmp_path: Path) -> None:
    config = unbalanced(tmp_path)
    evaluator = Evaluator(config, tmp_path)
    assert evaluator.labels(8).tolist() == [0, 0, 1, 0] * 2  # type: ignore[union-attr]
    asked: list[int] = []
    unet = build_unet(config.model, 0)
    unet.get_submodule("class_embedding").register_forward_pre_hook(
        lambda _layer, given: asked.extend(given[0].tolist())
    )
    measured = evaluator.evaluate(0, unet)
    shown, asked = asked[:12], asked[12:]  # each batch in two steps
    assert shown == [0, 1] * 6  # of the picture, as many of each
    assert asked == [0, 0, 1, 0] * 4 + [0, 0, 1, 0] * 2  # a batch of 8 and one of 4
    assert [key for key in measured if key.startswith("class_accuracy")] == [
        *("class_accuracy", "class_accuracy/0", "class_accuracy/1")
    ]
    by_class = 0.75 * measured["class_accuracy/0"] + 0.25 * measured["class_accuracy/1"]
    assert measured["class_accuracy"] == pytest.approx(by_class)


def test_a_grid_has_a_row_for_each_class(tmp_path: Path) -> None:
    evaluator = Evaluator(unbalanced(tmp_path), tmp_path)
    images = np.zeros((12, 1, 8, 8), np.uint8)
    labels = evaluator.labels(12)
    assert labels is not None
    images[labels == 1] = 200
    evaluator.show(0, images, labels)
    with Image.open(tmp_path / "samples" / "round_0000.png") as picture:
        assert picture.size == (3 * 66 + 2, 2 * 66 + 2)  # six images asked for: two rows of three
        pixels = np.asarray(picture.convert("L"))
    assert (pixels[34, [34, 100, 166]] == 0).all()
    assert (pixels[100, [34, 100, 166]] == 200).all()


def rows_that_are_white(folder: Path, classes: int) -> list[int]:
    with Image.open(folder / "samples" / "round_0000.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    return [row for row in range(classes) if (pixels[2 + 66 * row : 66 * (row + 1)] == 255).all()]


def test_a_class_that_the_reference_lacks_has_a_row_too(tmp_path: Path) -> None:
    """Each class is drawn for the picture, also where few images are asked for."""
    config = unbalanced(tmp_path, "data.classes=['0','1','2']", "evaluation.grid_images=2")
    assert config.model.number_of_classes == 3
    Evaluator(config, tmp_path).evaluate(0, build_unet(config.model, 0))
    assert rows_that_are_white(tmp_path, 3) == []


def test_a_picture_of_several_clients_has_a_row_for_each_class_too(tmp_path: Path) -> None:
    grid = ["evaluation=grid", "evaluation.grid_images=6", *QUICK[:3]]
    evaluator = Evaluator(with_classes(compose([*grid, "method=fedavg", "exchange=udec", "ema_decay=null"])), tmp_path)
    assert evaluator.images(0) == 10
    drawings = [Drawing(f"client-{n}", np.zeros((10, 1, 8, 8), np.uint8), True) for n in range(4)]
    evaluate_clients(evaluator, 0, drawings)
    assert rows_that_are_white(tmp_path, 10) == []


@pytest.mark.parametrize("more", [["evaluation=grid"], ["exchange=udec", "method=fedavg", "ema_decay=null"]])
def test_without_a_measure_or_a_global_model_all_classes_are_alike(tmp_path: Path, more: list[str]) -> None:
    quick = [one for one in QUICK if not one.startswith("evaluation")]
    config = with_classes(compose([*quick, *more]))
    labels = Evaluator(config, tmp_path).labels(20)
    assert labels is not None
    assert np.bincount(labels).tolist() == [2] * 10


def test_clients_with_parts_of_their_own_are_measured_by_class(tmp_path: Path) -> None:
    config = with_classes(compose([*QUICK, "method=fedavg", "exchange=udec", "ema_decay=null"]))
    evaluator = Evaluator(config, tmp_path)
    rng = np.random.default_rng(0)
    drawings = [Drawing(f"client-{n}", rng.integers(256, size=(20, 1, 8, 8), dtype=np.uint8), True) for n in range(2)]
    line = evaluate_clients(evaluator, 1, drawings)
    assert 0 <= line["class_accuracy"] <= 1
    with Image.open(tmp_path / "samples" / "round_0001.png") as picture:
        assert picture.size == (1 * 66 + 2, 10 * 66 + 2)


def test_a_model_that_is_told_nothing_is_asked_for_nothing(tmp_path: Path) -> None:
    evaluator = Evaluator(compose(QUICK[1:]), tmp_path)
    assert evaluator.labels(5) is None
    assert "class_accuracy" not in evaluator.evaluate(0, build_unet(evaluator.config.model, 0))

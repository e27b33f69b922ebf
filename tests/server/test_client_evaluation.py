"""Evaluating a method without a global model: each client's images, measured one by one."""

from pathlib import Path

import numpy as np
import pytest
from helpers import small_config
from numpy.typing import NDArray
from PIL import Image

from fedphd.common.data import load
from fedphd.common.wire.messages import Drawing
from fedphd.server.evaluation.clients import evaluate_clients
from fedphd.server.evaluation.evaluator import Evaluator
from fedphd.server.evaluation.grid import save_grid

Pixels = NDArray[np.uint8]

MEASURED = small_config(
    "evaluation=fd_classifier", "evaluation.images=40", "evaluation.grid_images=9", "evaluation.classifier_epochs=2"
)
SHOWN = small_config("evaluation=grid", "evaluation.grid_images=9")


@pytest.fixture(scope="module")
def digits() -> Pixels:
    return load(MEASURED.data, "train", 0).images(np.arange(200))


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    return Evaluator(MEASURED, tmp_path_factory.mktemp("run"))


def noise(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (40, 1, 8, 8), np.uint8)


def test_mean_spread_and_each_client(evaluator: Evaluator, digits: Pixels) -> None:
    images = {"client-0": digits[:40], "client-1": digits[40:80], "client-3": noise(0)}
    line = evaluate_clients(evaluator, 4, (Drawing(client, one, True) for client, one in images.items()))
    alone = [evaluator.measure(0, one)["fd_classifier"] for one in images.values()]
    assert alone[2] > 2 * max(alone[:2])  # noise is far from digits
    assert [line[f"fd_classifier/{client}"] for client in images] == pytest.approx(alone)
    assert line["fd_classifier"] == pytest.approx(sum(alone) / 3)
    mean = sum(alone) / 3
    assert line["fd_classifier_std"] == pytest.approx((sum((one - mean) ** 2 for one in alone) / 2) ** 0.5)
    shares = [evaluator.measure(0, one)["class_share/7"] for one in images.values()]
    assert line["class_share/7"] == pytest.approx(sum(shares) / 3)
    assert line["evaluation_seconds"] >= 0
    assert not {key for key in line if "/client" in key and not key.startswith("fd_classifier/")}


def test_only_so_many_images_are_measured(evaluator: Evaluator, digits: Pixels) -> None:
    """A client that drew more, for the picture, is not measured on more."""
    more = np.concatenate([digits[:40], noise(1)])
    lines = [evaluate_clients(evaluator, 4, [Drawing("client-0", one, True)]) for one in (more, digits[:40])]
    assert lines[0]["fd_classifier"] == lines[1]["fd_classifier"]


def test_one_client_has_no_spread(evaluator: Evaluator, digits: Pixels) -> None:
    line = evaluate_clients(evaluator, 5, [Drawing("client-2", digits[:40], True)])
    assert (line["fd_classifier_std"], line["fd_classifier/client-2"]) == (0.0, line["fd_classifier"])


def test_without_any_client_there_is_nothing_to_tell(evaluator: Evaluator) -> None:
    line = evaluate_clients(evaluator, 6, [])
    assert set(line) == {"evaluation_seconds"}
    assert not (evaluator.run_dir / "samples" / "round_0006.png").exists()


def test_who_did_not_draw_with_a_trained_model_is_named(
    evaluator: Evaluator, digits: Pixels, caplog: pytest.LogCaptureFixture
) -> None:
    drawings = [Drawing(f"client-{index}", digits[:40], trained=index != 1) for index in range(3)]
    evaluate_clients(evaluator, 7, drawings)
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == "drew with what they were sent, since they kept no trained model: client-1"


@pytest.mark.parametrize(("clients", "shares"), [(1, [9]), (2, [5, 4]), (4, [3, 3, 3]), (12, [1] * 9)])
def test_the_picture_shows_images_of_every_client(
    tmp_path: Path, digits: Pixels, clients: int, shares: list[int]
) -> None:
    """Nine images: as many of each client, rounded up, client by client."""
    drawings = [Drawing(f"client-{index}", digits[10 * index : 10 * index + 10], True) for index in range(clients)]
    line = evaluate_clients(Evaluator(SHOWN, tmp_path), 12, iter(drawings))
    assert set(line) == {"evaluation_seconds"}  # nothing measures
    expected = np.concatenate([one.images[:share] for one, share in zip(drawings, shares, strict=False)])
    save_grid(expected, tmp_path / "expected.png")
    pictures = [Image.open(tmp_path / name) for name in ("samples/round_0012.png", "expected.png")]
    np.testing.assert_array_equal(*(np.asarray(picture) for picture in pictures))

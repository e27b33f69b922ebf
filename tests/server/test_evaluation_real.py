"""Statistics of real images: the floor, and where they are kept."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fedphd.common.config import Config, compose
from fedphd.server.evaluation import Evaluator, Features, Workbench, real
from fedphd.server.evaluation.frechet import fit_gaussian, frechet_distance
from fedphd.server.evaluation.real import RealImages
from fedphd.server.evaluation.statistics import DRAWS, MOST_KEPT, Statistics, read_statistics

RNG = np.random.default_rng(0)
QUICK = ["evaluation.classifier_epochs=1", "runtime.device=cpu", "data.limit=60"]


def test_counted_rows_are_repeated_rows() -> None:
    features, counts = RNG.normal(size=(20, 3)), RNG.integers(0, 4, 20)
    counted, repeated = fit_gaussian(features, counts), fit_gaussian(features.repeat(counts, axis=0))
    np.testing.assert_allclose(counted.mean, repeated.mean, rtol=1e-12)
    np.testing.assert_allclose(counted.covariance, repeated.covariance, rtol=1e-12)


def test_the_floor_is_what_a_perfect_model_scores() -> None:
    """Twenty samplings of 50 from 400 features, by another generator, score like the floor's ten."""
    statistics = Statistics.of(RNG.normal(size=(400, 5)))
    kept = statistics.features.astype(float)
    scores = [frechet_distance(fit_gaussian(kept), fit_gaussian(kept[RNG.integers(400, size=50)])) for _ in range(20)]
    mean, std = statistics.floor(50, seed=0)
    assert abs(mean - np.mean(scores)) < 4 * np.std(scores) * np.sqrt(1 / DRAWS + 1 / 20)
    assert 0.2 * np.std(scores) < std < 5 * np.std(scores)
    assert statistics.floor(50, seed=0) == (mean, std) != statistics.floor(50, seed=1)
    assert statistics.floor(2_000, seed=0)[0] < mean / 10


def test_so_many_features_are_kept(tmp_path: Path) -> None:
    statistics = Statistics.of(features := np.arange(MOST_KEPT + 500.0)[:, None])
    assert statistics.features.shape == (MOST_KEPT, 1)
    assert len(np.unique(statistics.features)) == MOST_KEPT
    assert statistics.images == MOST_KEPT + 500
    assert statistics.gaussian.mean == features.mean()
    statistics.save(tmp_path / "some" / "file.npz")
    again = read_statistics(tmp_path / "some" / "file.npz")
    assert again is not None and again.images == statistics.images
    np.testing.assert_array_equal(again.features, statistics.features)
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["file.npz"]


def archive(file: Path, shift: int = 0) -> list[str]:
    """Write images of two classes to a file; without a shift always the same."""
    rng = np.random.default_rng(5)
    images, labels = rng.integers(shift, 200, (80, 8, 8), np.uint8), np.arange(80) % 2
    file.parent.mkdir(exist_ok=True)
    np.savez(file, train_x=images[:60], train_y=labels[:60], test_x=images[60:], test_y=labels[60:])
    return ["data=npz", f"data.path={file}"]


def cached(tmp_path: Path, *overrides: str) -> Config:
    return compose([*QUICK, f"evaluation.cache={tmp_path / 'cache'}", *overrides])


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").iterdir())


def test_runs_share_what_is_in_the_cache(tmp_path: Path) -> None:
    """By the images themselves, wherever they lie, and by the classifier that the run trained."""
    first = Evaluator(cached(tmp_path, *archive(tmp_path / "here" / "a.npz")), tmp_path / "run-0")
    references = first.references(0)
    kept = files(tmp_path)
    assert len(kept) == 2 and first.reused() == {}
    assert not list((tmp_path / "run-0").rglob("*.npz"))

    moved = cached(tmp_path, *archive(tmp_path / "there" / "b.npz"))
    second = Evaluator(moved, tmp_path / "run-1")
    assert second.references(0) == references
    assert files(tmp_path) == kept
    assert {one.file for one in second.reused().values()} == set(kept)

    other = cached(tmp_path, *archive(tmp_path / "there" / "c.npz", shift=9))
    assert Evaluator(other, tmp_path / "run-2").references(0) != references
    assert len(files(tmp_path)) == 4
    Evaluator(moved.model_copy(update={"seed": 3}), tmp_path / "run-3").references(0)  # another classifier
    assert len(files(tmp_path)) == 6


def test_images_are_kept_decoded_where_the_user_names_a_place(tmp_path: Path) -> None:
    for number in range(60):
        path = tmp_path / "own" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    colour = ["data.holdout=0.5", "data.size=8", "model.unet.in_channels=3", "model.unet.out_channels=3"]
    plain, kept = (
        compose([*QUICK, "data=folder", f"data.path={tmp_path}/own", *colour, "data.limit=30", f"data.cache={cache}"])
        for cache in ("null", tmp_path / "decoded")
    )
    expected = Evaluator(plain, tmp_path / "run-0").references(0)
    for run in ("run-1", "run-2"):
        assert Evaluator(kept, tmp_path / run).references(0) == expected
    assert len(list((tmp_path / "decoded").glob("*.pixels"))) == 2  # train and holdout


def test_other_weights_of_the_users_own_network_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weighed.py").write_text(
        "import torch\nW = torch.eye(64)\ndef Weighed(images):\n    return images.flatten(1).float() @ W\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import weighed  # type: ignore[import-not-found]

    config = cached(tmp_path, "evaluation.extractor='weighed:Weighed'", "evaluation.measures=[kid]")
    scores = []
    for factor in (1, 1, 2):
        weighed.W *= factor
        scores.append(Evaluator(config, tmp_path).references(0)["kd_weighed_reference"])
    assert scores[0] == scores[1] != scores[2]
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize("damage", [lambda whole: whole[:500], lambda whole: b"", lambda whole: b"x" + whole[1:]])
def test_a_damaged_file_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object) -> None:
    config = cached(tmp_path)
    references = Evaluator(config, tmp_path / "run").references(0)
    whole = files(tmp_path)[0].read_bytes()
    files(tmp_path)[0].write_bytes(damage(whole))  # type: ignore[operator]
    assert Evaluator(config, tmp_path / "run").references(0) == references
    assert files(tmp_path)[0].read_bytes() == whole
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith(f"{files(tmp_path)[0]} is damaged") and "\n" not in warning


def test_a_cache_that_cannot_be_read_ends_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in another user's home, of which one may not even ask whether a file is there."""
    config = cached(tmp_path)
    references = Evaluator(config, tmp_path / "run").references(0)
    stat = Path.stat

    def closed(path: Path, *_more: object, **options: bool) -> os.stat_result:
        if path.parent == tmp_path / "cache":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(np, "load", closed)
    monkeypatch.setattr(Path, "stat", closed)
    assert Evaluator(config, tmp_path / "run").references(0) == references
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2  # one for each split
    for warning in warnings:
        assert warning.startswith(f"evaluation.cache={tmp_path / 'cache'} cannot be read (") and "\n" not in warning


def test_real_images_are_decoded_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them may not fit into memory; the statistics are the same."""
    config = compose([*QUICK, "evaluation.extractor='builtins:abs'"])
    asked = []

    class Pixels(Features):
        def features(self, images: np.ndarray) -> np.ndarray:
            asked.append(len(images))
            return images.reshape(len(images), -1).astype(float)

    def statistics() -> Statistics:
        bench = Workbench(config, torch.device("cpu"), tmp_path / str(len(asked)))
        return RealImages(bench, "fd_pixels", Pixels()).kept("train").statistics

    whole = statistics()
    monkeypatch.setattr(real, "BLOCK", 25)
    parts = statistics()
    assert asked == [60, 25, 25, 10]
    np.testing.assert_array_equal(parts.features, whole.features)
    np.testing.assert_array_equal(parts.gaussian.covariance, whole.gaussian.covariance)


def test_the_floor_takes_one_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Inception's 2,048 features each takes seconds."""
    taken, eigh = [], np.linalg.eigh

    def counted(matrix: np.ndarray) -> object:
        taken.append(matrix.shape)
        return eigh(matrix)

    monkeypatch.setattr(np.linalg, "eigh", counted)
    Statistics.of(RNG.normal(size=(40, 5))).floor(30, seed=0)
    assert taken == [(5, 5)]


def test_a_cache_that_cannot_be_written_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").touch()
    assert Evaluator(cached(tmp_path), tmp_path / "run").references(0)
    assert f"evaluation.cache={tmp_path / 'cache'} cannot be written" in caplog.text

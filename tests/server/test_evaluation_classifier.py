import numpy as np
import pytest
import torch

from fedphd.common.config import compose
from fedphd.common.data import load
from fedphd.common.data.images import ArrayImages
from fedphd.server.evaluation.classifier import Classifier, train_classifier


def accuracy(model, images):
    with torch.inference_mode():
        return (model(torch.from_numpy(images.images())).argmax(1).numpy() == images.labels).mean()


def test_knows_digits_of_other_writers():
    data = compose().data
    model = train_classifier(load(data, "train", 0), epochs=30, seed=0)
    assert accuracy(model, load(data, "holdout", 0)) > 0.9


def test_same_seed_same_numbers_and_no_trace():
    images = load(compose().data, "train", 0)
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    models = [train_classifier(images, epochs=1, seed=seed).state_dict() for seed in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    assert not torch.equal(models[0]["head.weight"], models[2]["head.weight"])


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_takes_any_resolution(shape):
    model = Classifier(shape, classes=4).eval()
    images = torch.randint(256, (2, *shape), dtype=torch.uint8)
    assert model.features(images).shape == (2, 64)
    assert model(images).shape == (2, 4)


def test_a_batch_is_never_one_image():
    # 51 images in batches of at most 50: batch norm could not train on a last batch of one 2x2 image.
    pixels = np.random.default_rng(0).integers(256, size=(51, 1, 4, 4), dtype=np.uint8)
    images = ArrayImages(np.zeros(51, np.int64), ("only",), (1, 4, 4), pixels)
    model = train_classifier(images, epochs=1, seed=0)
    assert model(torch.from_numpy(pixels)).isfinite().all()


def test_of_one_class_it_learns_which_way_up_images_are():
    digits = load(compose().data, "train", 0)
    threes = np.flatnonzero(digits.labels == 3)
    pixels = digits.images(threes)
    images = ArrayImages(np.zeros(len(threes), np.int64), ("three",), digits.shape, pixels)
    model = train_classifier(images, epochs=30, seed=0)
    for turn in range(4):
        turned = torch.from_numpy(np.rot90(pixels, turn, (2, 3)).copy())
        assert (model(turned).argmax(1) == turn).float().mean() > 0.9

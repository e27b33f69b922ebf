"""The public sets of images, and whether a model fits them."""

import gzip
import hashlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tiny_autoencoder import autoencoder_config
from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST

from fedphd.common.config import ModelConfig
from fedphd.common.data import DATA_SETS, DataSet, check_fits, load
from fedphd.common.errors import SettingError

ROOT = Path(__file__).parents[2]
TEST_DATA = Path(os.environ.get("FEDPHD_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
RNG = np.random.default_rng(7)


def data_set(kind: str, **options: object) -> DataSet:
    return DATA_SETS.read({"kind": kind, **options})


def random_pixels(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


# --- digits ------------------------------------------------------------------------------------


def test_digits_split_scale_and_type():
    train, holdout = (load(data_set("digits"), split, 0) for split in ("train", "holdout"))
    assert (len(train), len(holdout)) == (1500, 297)
    for images in (train, holdout):
        assert images.shape == (1, 8, 8)
        assert images.class_names == tuple("0123456789")
        assert images.labels.dtype == np.int64
        assert images.images().dtype == np.uint8
        assert images.images().shape == (len(images), 1, 8, 8)
    # The first image's first row in the file is 0 0 5 13 9 1 0 0, and v * 255 / 16 = 79.7, 207.2,
    # 143.4, 15.9; the brightest pixel of the set is 16, and 16 * 255 / 16 = 255.
    assert train.images()[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert train.labels[:5].tolist() == [0, 1, 2, 3, 4]
    assert train.images().max() == 255


def test_chosen_images_come_in_the_asked_order_and_are_the_callers_own():
    digits = load(data_set("digits"), "train", 0)
    whole = digits.images()
    chosen = digits.images(np.array([5, 2, 5]))
    np.testing.assert_array_equal(chosen, whole[[5, 2, 5]])
    whole[:], chosen[:] = 0, 0
    assert digits.images().max() == 255
    with pytest.raises(ValueError, match="read-only"):
        digits.labels[0] = 3


def test_loading_again_gives_the_same_object():
    assert load(data_set("digits"), "train", 0) is load(data_set("digits"), "train", 0)


def test_neither_composing_nor_digits_need_torch():
    code = (
        "import sys; from fedphd.common.config import compose; from fedphd.common.data import load;"
        "config = compose(); early = {'torch', 'torchvision', 'sklearn', 'PIL'} & set(sys.modules);"
        "load(config.data, 'train', 0); sys.exit(bool(early) or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_limit_is_a_seeded_subset_of_the_training_images():
    full = load(data_set("digits"), "train", 0)
    small, large, other = (
        load(data_set("digits", limit=limit), "train", seed) for limit, seed in ((40, 0), (200, 0), (40, 1))
    )
    assert (len(small), len(large)) == (40, 200)
    rows = {pixels.tobytes(): index for index, pixels in enumerate(full.images())}
    places = [[rows[pixels.tobytes()] for pixels in images.images()] for images in (small, large, other)]
    assert places[0] == sorted(set(places[0]))
    assert set(places[0]) < set(places[1])
    assert places[0] != places[2]
    np.testing.assert_array_equal(small.labels, full.labels[places[0]])
    assert len(load(data_set("digits", limit=40), "holdout", 0)) == 297


def test_limit_above_the_images_there_are():
    assert len(load(data_set("digits", limit=1500), "train", 0)) == 1500
    with pytest.raises(SettingError, match=r"^data.limit=1501: there are 1500 training images; use at most 1500"):
        load(data_set("digits", limit=1501), "train", 0)


# --- Fashion-MNIST and CIFAR-10 ------------------------------------------------------------------


def write_idx(path, array):
    """The format of MNIST: two zeros, 8 for unsigned bytes, the number of axes, big-endian sizes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_idx_files(raw):
    """Twelve images to train and five held out, in four files; give their pixels and labels."""
    raw.mkdir(parents=True)
    arrays = {}
    for name, length in (("train", 12), ("t10k", 5)):
        arrays[name] = random_pixels(length, 28, 28), np.arange(length) % 10
        write_idx(raw / f"{name}-images-idx3-ubyte", arrays[name][0])
        write_idx(raw / f"{name}-labels-idx1-ubyte", arrays[name][1])
    return arrays


@pytest.fixture
def fashion(tmp_path):
    arrays = write_idx_files(tmp_path / "FashionMNIST" / "raw")
    return data_set("fashion_mnist", root=tmp_path), arrays


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("holdout", "t10k")])
def test_fashion_mnist(fashion, split, name):
    config, arrays = fashion
    images = load(config, split, 0)
    assert images.shape == (1, 28, 28)
    assert images.class_names[9] == "Ankle boot"
    np.testing.assert_array_equal(images.images()[:, 0], arrays[name][0])
    assert images.labels.dtype == np.int64
    np.testing.assert_array_equal(images.labels, arrays[name][1])


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("holdout", "t10k")])
def test_mnist(tmp_path, split, name):
    arrays = write_idx_files(tmp_path / "MNIST" / "raw")
    images = load(data_set("mnist", root=tmp_path), split, 0)
    assert (images.shape, len(images.class_names)) == ((1, 28, 28), 10)
    np.testing.assert_array_equal(images.images()[:, 0], arrays[name][0])
    np.testing.assert_array_equal(images.labels, arrays[name][1])


def test_mnist_that_is_not_there(tmp_path):
    with pytest.raises(SettingError, match=r"^data.root=.*: must hold MNIST/raw .* set data.download=true$"):
        load(data_set("mnist", root=tmp_path), "train", 0)


def test_fashion_mnist_missing_or_cut_short(fashion):
    config, _ = fashion
    file = config.root / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    for action in (lambda: None, file.unlink):
        action()
        with pytest.raises(SettingError, match=r"^data.root=.*: must hold FashionMNIST/raw .* data.download=true$"):
            load(config, "train", 0)


@pytest.fixture
def mirror(tmp_path):
    """A folder, and the address under which it is served."""
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_fashion_mnist_downloads_where_asked(tmp_path, fashion, mirror, monkeypatch):
    """The files come as from the real mirror: gzipped, and checked by their md5."""
    config, arrays = fashion
    folder, address = mirror
    resources = []
    for file in (config.root / "FashionMNIST" / "raw").iterdir():
        packed = gzip.compress(file.read_bytes())
        (folder / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(FashionMNIST, "mirrors", [address])
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    target = tmp_path / "new"
    images = load(data_set("fashion_mnist", root=target, download=True), "train", 0)
    np.testing.assert_array_equal(images.images()[:, 0], arrays["train"][0])

    monkeypatch.setattr(FashionMNIST, "mirrors", [f"{address}nowhere/"])
    with pytest.raises(SettingError, match=r"^data.root=.*: must hold .*; give their folder$"):
        load(data_set("fashion_mnist", root=tmp_path / "newer", download=True), "train", 0)


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Five training batches of 4 images and a test batch, as the authors' pickles."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    labels = [3, 0, 9, 1]
    pixels = {}
    sums = {}
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        pixels[name] = random_pixels(4, 3, 32, 32)
        content = pickle.dumps({"data": pixels[name].reshape(4, -1), "labels": labels})
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    meta = pickle.dumps({"label_names": names})
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in sums if name != "test_batch"])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": hashlib.md5(meta).hexdigest()})
    return data_set("cifar10", root=tmp_path), pixels, labels


def test_cifar10(cifar):
    config, pixels, labels = cifar
    train, holdout = (load(config, split, 0) for split in ("train", "holdout"))
    assert train.shape == holdout.shape == (3, 32, 32)
    assert train.class_names[3] == "cat"
    assert train.labels.tolist() == labels * 5
    np.testing.assert_array_equal(train.images()[4:8], pixels["data_batch_2"])
    np.testing.assert_array_equal(holdout.images(), pixels["test_batch"])
    assert train.images().flags.c_contiguous


def test_cifar10_whose_files_were_changed(cifar):
    config, _, _ = cifar
    with (config.root / "cifar-10-batches-py" / "data_batch_3").open("ab") as file:
        file.write(b"!")
    with pytest.raises(SettingError, match=r"^data.root=.*: must hold cifar-10-batches-py .*corrupted"):
        load(config, "train", 0)


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """One training and one test file of 6 images, as the authors' pickles, and the names of the classes."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    sums, pixels = {}, {}

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()

    for name in ("train", "test"):
        pixels[name] = random_pixels(6, 3, 32, 32)
        write(
            name, {"data": pixels[name].reshape(6, -1), "fine_labels": [99, 0, 7, 7, 50, 3], "coarse_labels": [1] * 6}
        )
        monkeypatch.setattr(CIFAR100, f"{name}_list", [[name, sums[name]]])
    write("meta", {"fine_label_names": [f"class {number}" for number in range(100)], "coarse_label_names": []})
    monkeypatch.setattr(CIFAR100, "meta", CIFAR100.meta | {"md5": sums["meta"]})
    return data_set("cifar100", root=tmp_path), pixels


def test_cifar100(cifar100):
    config, pixels = cifar100
    for split, name in (("train", "train"), ("holdout", "test")):
        images = load(config, split, 0)
        assert (images.shape, len(images.class_names), images.class_names[99]) == ((3, 32, 32), 100, "class 99")
        assert images.labels.tolist() == [99, 0, 7, 7, 50, 3]
        np.testing.assert_array_equal(images.images(), pixels[name])


def test_cifar100_whose_files_were_changed(cifar100):
    config, _ = cifar100
    (config.root / "cifar-100-python" / "test").write_bytes(b"!")
    with pytest.raises(SettingError, match=r"^data.root=.*: must hold cifar-100-python .*corrupted"):
        load(config, "train", 0)


# --- fit of model and images ---------------------------------------------------------------------


def unet(sample_size, in_channels):
    options = {"sample_size": sample_size, "in_channels": in_channels}
    return ModelConfig(name="mine", network="unet2d", unet=options, autoencoder=None)


def test_check_fits():
    digits = load(data_set("digits"), "holdout", 0)
    check_fits(digits, unet(8, 1))
    with pytest.raises(
        SettingError,
        match=r"^model=mine: expects 3x32x32 \(CxHxW\), the images are 1x8x8; "
        r"use a model with model.unet.in_channels=1 and model.unet.sample_size=8, or other data$",
    ):
        check_fits(digits, unet(32, 3))
    for model in (unet(8, 3), unet(9, 1), unet(8, 1).model_copy(update={"unet": {}})):
        with pytest.raises(SettingError, match=r"^model=mine: expects .*, the images are 1x8x8"):
            check_fits(digits, model)


def test_check_fits_an_autoencoder():
    digits = load(data_set("digits"), "holdout", 0)
    latent = unet(4, 2).model_copy(update={"autoencoder": autoencoder_config("vae")})
    check_fits(digits, latent)
    for changes, shape in (({"image_size": 16}, "1x16x16"), ({"image_channels": 3}, "3x8x8")):
        other = latent.model_copy(update={"autoencoder": autoencoder_config("vae", **changes)})
        with pytest.raises(
            SettingError,
            match=rf"^model=mine: expects {shape} \(CxHxW\), the images are 1x8x8; use a model with "
            r"model.autoencoder.image_channels=1 and model.autoencoder.image_size=8, or other data$",
        ):
            check_fits(digits, other)


def test_check_fits_images_that_are_not_square(tmp_path):
    np.savez(tmp_path / "own.npz", train_x=np.zeros((4, 4, 6), np.uint8), train_y=np.arange(4))
    images = load(data_set("npz", path=tmp_path / "own.npz"), "train", 0)
    with pytest.raises(SettingError, match="1x4x6; U-Nets take square images only"):
        check_fits(images, unet(4, 1))


# --- the real sets, where they are at hand -------------------------------------------------------


@pytest.mark.skipif(not (TEST_DATA / "FashionMNIST").exists(), reason="needs FEDPHD_TEST_DATA")
def test_the_real_fashion_mnist():
    train, holdout = (load(data_set("fashion_mnist", root=TEST_DATA), split, 0) for split in ("train", "holdout"))
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert np.bincount(holdout.labels).tolist() == [1000] * 10
    # The published statistics: mean 0.2860, standard deviation 0.3530 of [0, 1].
    assert train.images().mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert train.images().std() / 255 == pytest.approx(0.3530, abs=1e-4)


@pytest.mark.skipif(not (TEST_DATA / "cifar10.npz").exists(), reason="needs FEDPHD_TEST_DATA")
def test_the_real_cifar10_as_npz():
    holdout = load(data_set("npz", path=TEST_DATA / "cifar10.npz"), "holdout", 0)
    assert holdout.shape == (3, 32, 32)
    assert np.bincount(holdout.labels).tolist() == [1000] * 10
    # Blue is the darkest of CIFAR-10's channels: their means are near 0.49, 0.48, 0.45.
    means = holdout.images().mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=0.01)

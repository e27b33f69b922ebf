import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fedphd.common.config import compose, from_yaml, to_yaml
from fedphd.common.data import load
from fedphd.common.errors import SettingError
from fedphd.server.evaluation.extractors.fd_classifier import ClassifierFeatures
from fedphd.server.evaluation.extractors.inception import InceptionFeatures, inception_score
from fedphd.server.evaluation.extractors.reading import read_extractor
from fedphd.server.evaluation.workbench import Workbench
from fedphd.server.recorder import check_outlets

CPU = torch.device("cpu")

EXTRACTORS = """
import torch
from fedphd.server.evaluation import Extractor, NetworkFeatures

def Brightness(images):
    assert images.dtype == torch.uint8
    return images.float().mean((2, 3))

class Doubled(torch.nn.Module):
    def forward(self, images):
        assert not self.training
        return 2 * Brightness(images)

class Scaled(Extractor):
    factor: int = 1

    def build(self, bench):
        return NetworkFeatures(lambda: lambda images: self.factor * Brightness(images), self.kind, bench)

class FID(Scaled):
    @property
    def metric(self):
        return "fid"

def flat(images):
    return images.float().mean()

def broken(images):
    return Brightness(images) / 0

def classifier(images):
    return Brightness(images)

number = 3
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_extractors.py").write_text(EXTRACTORS)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_extractors"
    sys.modules.pop("own_extractors", None)


def evaluation(*overrides):
    return compose(overrides).evaluation


def bench(folder, *overrides):
    return Workbench(compose(["evaluation.batch_size=2", *overrides]), CPU, folder)


def own_features(path, folder, *overrides):
    """Read the user's extractor as a run would, and make its features."""
    extractor = read_extractor(evaluation(f"evaluation.extractor='{path}'", *overrides))
    return extractor.build(bench(folder))


def test_imported_function_and_module(own_module, tmp_path):
    images = np.stack([np.full((1, 8, 8), value, np.uint8) for value in (10, 20, 30)])
    assert read_extractor(evaluation(f"evaluation.extractor='{own_module}:Brightness'")).metric == "fd_brightness"
    assert own_features(f"{own_module}:Brightness", tmp_path).features(images).tolist() == [[10], [20], [30]]
    module = own_features(f"{own_module}:Doubled", tmp_path)
    assert module.features(images).tolist() == [[20], [40], [60]]
    assert module.scores(images) == {}


def test_an_extractor_of_the_users_own_has_options(own_module, tmp_path):
    images = np.full((3, 1, 8, 8), 10, np.uint8)
    given = ["+evaluation.factor=4"]
    assert own_features(f"{own_module}:Scaled", tmp_path, *given).features(images).tolist() == [[40]] * 3
    assert read_extractor(evaluation(f"evaluation.extractor='{own_module}:Scaled'", *given)).metric == "fd_scaled"


@pytest.mark.parametrize(
    ("attribute", "advice"),
    [
        ("missing", "cannot be imported"),
        ("number", "cannot be called"),
        ("classifier", "shown as fd_classifier.*rename"),
        ("FID", "shown as fid.*rename"),
        ("flat", r"must return a tensor of shape \(n, d\)"),
        ("broken", "not finite"),
    ],
)
def test_imported_extractor_that_cannot_work(own_module, tmp_path, attribute, advice):
    with pytest.raises(SettingError, match=rf"evaluation.extractor={own_module}:{attribute}: .*{advice}"):
        own_features(f"{own_module}:{attribute}", tmp_path).features(np.ones((2, 1, 4, 4), np.uint8))


@pytest.mark.parametrize(("module", "cause"), [("no_such_module_anywhere", "No module"), ("torn", "division by zero")])
def test_module_that_cannot_be_imported(tmp_path, monkeypatch, module, cause):
    (tmp_path / "torn.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingError, match=rf"^evaluation\.extractor={module}:f: cannot be imported .*{cause}"):
        read_extractor(evaluation(f"evaluation.extractor='{module}:f'"))


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["evaluation.extractor=vgg"], "evaluation.extractor"),
        (["evaluation.extractor='module:'"], "evaluation.extractor"),
        (["evaluation.images=1"], "evaluation.images"),
        (["evaluation.final_images=1"], "evaluation.final_images"),
        (["evaluation.real_images=1"], "evaluation.real_images"),
        (["evaluation.measures=[precision_recall]", "evaluation.images=3"], "evaluation.images"),
        (["evaluation.measures=[precision_recall]", "evaluation.final_images=3"], "evaluation.final_images"),
        (["evaluation.measures=[precision_recall]", "evaluation.real_images=3"], "evaluation.real_images"),
        (["evaluation.measures=[psnr]"], "evaluation.measures"),
        (["evaluation.measures=['no_such_module:f']"], "evaluation.measures"),
        (["evaluation.measures=['math:pi']"], "evaluation.measures"),
        (["evaluation.classifier_epochs=0"], "evaluation.classifier_epochs"),
        (["evaluation=fid", "evaluation.images=9", "evaluation.inception_weights=/x"], "evaluation.images"),
        (["evaluation=fid"], "evaluation.inception_weights"),
        (["evaluation.extractor=inception"], "evaluation.inception_weights"),
        (["evaluation=grid", "evaluation.extractor='builtins:abs'"], "evaluation.images"),
        (["+evaluation.colour=red"], "evaluation.colour"),
        (["evaluation=grid", "+evaluation.colour=red"], "evaluation.colour"),
        (["evaluation.extractor='builtins:abs'", "+evaluation.colour=red"], "evaluation.colour"),
    ],
)
def test_settings_that_cannot_work(tmp_path, overrides, key):
    with pytest.raises(SettingError) as caught:
        check_outlets(compose(overrides), tmp_path)
    assert caught.value.key == key


def test_an_unknown_extractor_is_told_the_known_ones():
    with pytest.raises(SettingError, match=r"^evaluation\.extractor=fid: .*fd_classifier, inception.*null for grids"):
        read_extractor(evaluation("evaluation.extractor=fid"))


def test_the_extractor_alone_switches():
    """What only another extractor has is let go."""
    assert read_extractor(evaluation("evaluation.extractor=null")) is None
    assert read_extractor(evaluation("evaluation.extractor='builtins:abs'")).model_fields_set == {"kind"}


def test_the_weights_path_travels_whole(tmp_path, monkeypatch, weights):
    """The root's process may have another working folder than the command."""
    monkeypatch.chdir(weights.parent)
    config = compose(["evaluation=fid", f"evaluation.inception_weights={weights.name}", "runtime.device=cpu"])
    checked = check_outlets(config, tmp_path)
    assert from_yaml(to_yaml(checked)).evaluation.inception_weights == str(weights)


def test_class_shares_show_lost_classes(tmp_path):
    site = bench(tmp_path)
    images = load(site.config.data, "train", 0)
    threes = images.images(np.flatnonzero(images.labels == 3))
    shares = ClassifierFeatures(site, epochs=5).scores(threes)
    assert list(shares) == [f"class_share/{digit}" for digit in range(10)]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["class_share/3"] > 0.9


def test_class_accuracy_tells_whether_images_are_what_was_asked_for(tmp_path):
    site = bench(tmp_path)
    images = load(site.config.data, "train", 0)
    some = np.flatnonzero(np.isin(images.labels, [3, 5]))
    features, asked = ClassifierFeatures(site, epochs=5), images.labels[some].copy()
    right = features.recognised(images.images(some), asked)
    assert list(right) == ["class_accuracy", "class_accuracy/3", "class_accuracy/5"]
    assert min(right.values()) > 0.9
    asked[asked == 3] = 7
    wrong = features.recognised(images.images(some), asked)
    assert wrong["class_accuracy/7"] < 0.1
    assert wrong["class_accuracy/5"] == right["class_accuracy/5"]
    share = (asked == 5).mean()
    assert wrong["class_accuracy"] == pytest.approx(
        share * wrong["class_accuracy/5"] + (1 - share) * wrong["class_accuracy/7"]
    )


def test_inception_score_by_hand():
    # First half: both images of class 0, exp(0) = 1. Second half: one of each class, exp(log 2) = 2.
    probabilities = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], float)
    assert inception_score(probabilities, splits=2) == pytest.approx((1.5, 0.5))
    assert inception_score(np.full((4, 2), 0.5), splits=2) == pytest.approx((1, 0))


class StandIn(nn.Module):
    """Takes and gives what the original graph does, with far fewer weights."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 2048, 1))
        self.output = nn.Linear(2048, 8)

    def forward(
        self,
        img: torch.Tensor,
        return_features: bool = False,
        use_fp16: bool = False,
        no_output_bias: bool = False,
    ) -> torch.Tensor:
        features = self.layers((img.to(torch.float32) - 128) / 128).flatten(1)
        if return_features:
            return features
        logits = nn.functional.linear(features, self.output.weight) if no_output_bias else self.output(features)
        return nn.functional.softmax(logits, 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = StandIn()
    with torch.no_grad():
        network.output.bias[0] = 100  # would put every image into class 0
        network.output.weight *= 20
    path = tmp_path_factory.mktemp("inception") / "inception-2015-12-05.pt"
    torch.jit.script(network).save(str(path))
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("channels", [1, 3])
def test_inception_features_are_clean_fids(weights, tmp_path, channels):
    from cleanfid.fid import get_folder_features
    from cleanfid.inception_torchscript import InceptionV3W

    images = np.random.default_rng(0).integers(256, size=(5, channels, 16, 16), dtype=np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(np.moveaxis(image.repeat(3 // channels, 0), 0, 2)).save(tmp_path / f"{number}.png")
    network = InceptionV3W(str(weights.parent), download=False)
    theirs = get_folder_features(str(tmp_path), network, num_workers=0, device=CPU, mode="clean", verbose=False)
    ours = InceptionFeatures(weights, 2, CPU).features(images)
    assert ours.shape == (5, 2048)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_inception_scores_leave_out_the_bias(weights):
    images = np.random.default_rng(0).integers(256, size=(40, 3, 1, 1), dtype=np.uint8).repeat(8, 2).repeat(8, 3)
    scores = InceptionFeatures(weights, 16, CPU).scores(images)
    assert list(scores) == ["is_mean", "is_std"]
    assert 1.1 < scores["is_mean"] <= 8


def test_inception_weights_that_cannot_work(tmp_path):
    with pytest.raises(SettingError, match=r"evaluation.inception_weights=.*no such file"):
        InceptionFeatures(tmp_path / "inception-2015-12-05.pt", 2, CPU)
    (tmp_path / "weights.pt").touch()
    with pytest.raises(SettingError, match="another name"):
        InceptionFeatures(tmp_path / "weights.pt", 2, CPU)
    torn = tmp_path / "inception-2015-12-05.pt"
    torn.write_bytes(b"torn")
    with pytest.raises(SettingError, match="fetch it again"):
        InceptionFeatures(torn, 2, CPU).features(np.zeros((2, 3, 8, 8), np.uint8))

"""How near images are to others: by hand, and for copies."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fedphd.common.data.nearness import NEIGHBOURS, features_of, find_features, nearest, spacing
from fedphd.common.errors import SettingError

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (70, 3, 8, 8), np.uint8)


def test_distances_and_ratios_by_hand() -> None:
    others = torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    found = nearest(torch.tensor([[0.0, 0.0], [3.0, 3.0]]), others)
    assert found.index.tolist() == [0, 1]
    # ||x - y|| / sqrt(2): 0, 5, 10 and sqrt(18), 1, sqrt(34).
    assert found.distance == pytest.approx([0.0, 1 / 2**0.5])
    assert found.ratio == pytest.approx([0.0, 1 / (0.5 * (18**0.5 + 1 + 34**0.5) / 3)])


def test_the_ratio_looks_at_the_50_nearest_alone() -> None:
    others = torch.cat([torch.full((1, 1), 1.0), torch.full((NEIGHBOURS - 1, 1), 3.0), torch.full((40, 1), 1e6)])
    found = nearest(torch.zeros(1, 1), others)
    assert found.ratio == pytest.approx([1 / (0.5 * (1 + 49 * 3) / 50)])


def test_copies_are_no_distance_away() -> None:
    """... also where float32 has few digits left for a difference."""
    features = torch.rand(200, 3000, generator=torch.Generator().manual_seed(0)) + 1000
    found = nearest(features[20:60], features)
    assert found.index.tolist() == list(range(20, 60))
    assert found.distance.max() == found.ratio.max() == 0.0


def test_alike_images_have_no_ratio_that_is_not_a_number() -> None:
    assert nearest(torch.zeros(2, 3), torch.zeros(4, 3)).ratio.tolist() == [0.0, 0.0]


def test_a_single_other_image() -> None:
    found = nearest(torch.tensor([[1.0]]), torch.zeros(1, 1))
    assert (found.distance.tolist(), found.ratio.tolist()) == ([1.0], [2.0])
    assert spacing(torch.zeros(1, 1), found.index).tolist() == [0.0]


def test_spacing_is_the_distance_to_the_nearest_other() -> None:
    images = torch.tensor([[0.0], [1.0], [5.0], [5.0]])
    assert spacing(images, np.array([1, 0, 2, 1])).tolist() == [1.0, 1.0, 0.0, 1.0]
    assert spacing(images, np.array([], np.int64)).tolist() == []


def test_pixels_are_from_0_to_1_and_large_images_are_made_small() -> None:
    small = features_of(IMAGES, "pixels", CPU)
    np.testing.assert_allclose(small.numpy(), IMAGES.reshape(70, -1) / 255, rtol=1e-6)
    large = np.kron(IMAGES[:2], np.ones((1, 1, 8, 8), np.uint8))  # 64 x 64: of 8 x 8 equal pixels each
    found = features_of(large, "pixels", CPU).reshape(2, 3, 32, 32)
    np.testing.assert_allclose(found[:, :, ::4, ::4].numpy(), IMAGES[:2] / 255, rtol=1e-6)


def test_features_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_features.py").write_text(
        "import torch\n"
        "def colour(images): return images.float().flatten(2).mean(2)\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, images): return images.float().flatten(1) * (2 if self.training else 1)\n"
        "def flat(images): return images.float().mean()\n"
        "def broken(images): return images.float().flatten(1) * float('nan')\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    np.testing.assert_allclose(features_of(IMAGES, "own_features:colour", CPU), IMAGES.mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(features_of(IMAGES, "own_features:Net", CPU), IMAGES.reshape(70, -1))
    for name, reason in (("flat", r"returned \(\); must return"), ("broken", "not finite"), ("number", "must be a fu")):
        with pytest.raises(SettingError, match=f"evaluation.memorisation_features=own_features:{name}: .*{reason}"):
            features_of(IMAGES, f"own_features:{name}", CPU)


@pytest.mark.parametrize("name", ["pixel", "no_such_module:features"])
def test_features_that_are_not_there(name: str) -> None:
    with pytest.raises(SettingError, match=r"evaluation\.memorisation_features"):
        find_features(name)


def test_a_class_of_the_users_own_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else two sets of images would be compared by other random weights."""
    (tmp_path / "random_features.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self): super().__init__(); self.layer = torch.nn.Linear(192, 2)\n"
        "    def forward(self, images): return self.layer(images.float().flatten(1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    first, second = (features_of(IMAGES, "random_features:Net", CPU) for _ in range(2))
    assert torch.equal(first, second)

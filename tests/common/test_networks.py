"""Which networks there are, and what is asked of a user's own."""

import re

import pytest
import torch
from helpers import small_config
from users_networks import Plain

from fedphd.common.config import ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet, pixel_shape
from fedphd.common.network.counting import count
from fedphd.common.network.networks import find_network, image_shape, register
from fedphd.common.network.packing import pack, unpack
from fedphd.common.network.pruning import prune
from fedphd.common.network.rebuild import check_structure, rebuild_unet
from fedphd.common.network.structure import Structure, StructureError
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.sampling import Sampler

REVERSE = ReverseProcess.of(small_config("sampler.steps=2"))


def own(name: str, **options: object) -> ModelConfig:
    unet = {"sample_size": 8} | options
    return ModelConfig(name="own", network=f"users_networks:{name}", unet=unet, autoencoder=None)


# --- finding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("convnet", "did you mean convnext? use unet2d, convnext, or an import path"),
        ("transformer", "there is no such network; use unet2d, convnext, or an import path package.module:Class"),
        ("nowhere:Net", "cannot be imported"),
        ("users_networks:Missing", "cannot be imported"),
        ("fractions:Fraction", "is no subclass of torch.nn.Module"),
    ],
)
def test_unknown_networks(kind: str, told: str) -> None:
    with pytest.raises(SettingError, match=f"^model.network={kind}: .*{re.escape(told)}"):
        find_network(kind)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match=r"model\.network=convnext is registered twice"):
        register("convnext", needs="", prunable=False)


# --- a user's own -----------------------------------------------------------------------------------


def test_a_plain_module_is_built_from_the_seed() -> None:
    model = own("Plain", width=4)
    one, again, other = (build_unet(model, seed) for seed in (0, 0, 1))
    assert isinstance(one, Plain)
    hashes = [pack(unet.state_dict()).hash for unet in (one, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert count(one)[0] == 4 + (9 * 4 + 4) + (9 * 4 + 1)


def test_its_shape_is_that_of_its_options_and_their_defaults() -> None:
    assert image_shape(build_unet(own("Plain"), 0)) == pixel_shape(own("Plain")) == (1, 8, 8)
    assert pixel_shape(own("Plain", in_channels=3, sample_size=16)) == (3, 16, 16)


def test_it_is_rebuilt_from_its_structure_and_draws() -> None:
    model = own("Plain")
    packed = pack(build_unet(model, 0).state_dict())
    rebuilt = rebuild_unet(model, Structure.from_json(packed.structure.to_json()))
    rebuilt.load_state_dict(unpack(packed))
    assert pack(rebuilt.state_dict()).hash == packed.hash
    images = Sampler(REVERSE, seed=0, batch_size=2, device=torch.device("cpu")).draw(rebuilt, 3)
    assert images.shape == (3, 1, 8, 8)


def test_what_is_no_layer_cannot_be_narrower() -> None:
    shapes = Structure.of(build_unet(own("Plain"), 0).state_dict()).shapes | {"scale": (7,)}
    with pytest.raises(StructureError, match=r"scale: shape \(7,\), but only layers with channels can be narrower"):
        check_structure(own("Plain"), Structure(tuple(shapes.items())))


def test_it_is_not_pruned_unless_it_says_that_it_can_be() -> None:
    told = "model.network=users_networks:Plain: cannot be pruned, .* use unet2d, convnext"
    with pytest.raises(SettingError, match=f"^{told}"):
        prune(build_unet(own("Plain"), 0), 0.25)
    dense = build_unet(own("Prunable"), 0)
    narrow, _ = prune(dense, 0.25)
    assert count(narrow)[0] < count(dense)[0]
    assert count(rebuild_unet(own("Prunable"), Structure.of(narrow.state_dict()))) == count(narrow)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Normed", "model.network=users_networks:Normed: has the buffer norm.running_mean"),
        ("Tied", "model.network=users_networks:Tied: has the tensor conv_again.bias, which is another layer's"),
        ("Doubling", "model.unet={.*}: Doubling cannot be built and run with these .*; the moon must be full"),
    ],
)
def test_networks_that_cannot_be_trained_together(name: str, told: str) -> None:
    with pytest.raises(SettingError, match=f"^{told}"):
        build_unet(own(name), 0)


def test_options_that_it_does_not_have() -> None:
    with pytest.raises(SettingError, match="Plain has no such option; it has in_channels, sample_size, width"):
        build_unet(own("Plain", depth=3), 0)

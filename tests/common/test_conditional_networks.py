"""Networks that take labels: built, pruned, rebuilt, cut into parts, coded."""

from importlib.resources import files

import numpy as np
import pytest
import torch
import yaml
from helpers import small_config

from fedphd.common.config import CLASS_EMBEDS, ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.channel_groups import channel_groups
from fedphd.common.network.conditioning import apply
from fedphd.common.network.counting import count
from fedphd.common.network.networks import UNet
from fedphd.common.network.packing import pack, unpack
from fedphd.common.network.pruning import prune, prune_like
from fedphd.common.network.rebuild import check_structure, rebuild_unet
from fedphd.common.network.structure import Structure, StructureError
from fedphd.common.wire.codec.base import CODECS
from fedphd.common.wire.codec.coded import code
from fedphd.common.wire.parts import part_of

TABLE = "class_embedding.weight"
CONVNEXT = yaml.safe_load((files("fedphd.conf") / "model" / "feddiffuse_fmnist.yaml").read_text())["model"]
CONVNEXT["unet"] |= {"sample_size": 8, "dim": 8, "dim_mults": [1, 2], "attention_head_dim": 4}
BARE = {
    "unet2d": small_config("model.unet.block_out_channels=[8,16]", "model.unet.norm_num_groups=2").model,
    "convnext": ModelConfig.model_validate(CONVNEXT),
}


def told(kind: str, classes: int = 3) -> ModelConfig:
    bare = BARE[kind]
    return bare.model_copy(update={"classes": "labels", "unet": bare.unet | {CLASS_EMBEDS: classes + 1}})


def predict(unet: UNet, *labels: int) -> torch.Tensor:
    x_t = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(len(labels), -1, -1, -1)
    with torch.no_grad():
        return apply(unet.eval(), x_t, torch.tensor([300]), torch.tensor(labels))


@pytest.fixture(params=list(BARE))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_label_predicts_something_else(kind: str) -> None:
    drawn = predict(build_unet(told(kind), 0), 0, 1, 2, -1)
    distances = torch.cdist(drawn.flatten(1), drawn.flatten(1))
    assert (distances[~torch.eye(4, dtype=bool)] > 1e-4).all()


def test_labels_cost_a_table_and_hardly_an_operation(kind: str) -> None:
    bare, unet = build_unet(BARE[kind], 0), build_unet(told(kind), 0)
    width = unet.get_parameter(TABLE).shape[1]
    assert count(unet)[0] == count(bare)[0] + 4 * width
    assert count(unet)[1] == count(bare)[1]
    assert part_of(TABLE) == "encoder"


def test_pruned_and_rebuilt_it_predicts_the_same(kind: str) -> None:
    model, unet = told(kind), build_unet(told(kind), 0)
    pruned, pruning = prune(unet, 0.5)
    table = pruned.get_parameter(TABLE)
    assert table.shape == (4, pruned.get_parameter("time_embedding.linear_2.bias").shape[0])
    assert table.shape[1] < unet.get_parameter(TABLE).shape[1]
    rebuilt = rebuild_unet(model, Structure.of(pruned.state_dict()))
    rebuilt.load_state_dict(pruned.state_dict())
    assert torch.equal(predict(rebuilt, 0, 2, -1), predict(pruned, 0, 2, -1))
    assert torch.equal(prune_like(unet, pruning).get_parameter(TABLE), table)


def test_pruning_looks_at_no_label(kind: str) -> None:
    """Which channels are the weakest does not depend on the embeddings of classes, which few clients trained."""
    unet = build_unet(told(kind), 0)
    _, before = prune(unet, 0.5)
    with torch.no_grad():
        unet.get_parameter(TABLE).mul_(torch.rand(unet.get_parameter(TABLE).shape[1]) * 100)
    assert prune(unet, 0.5)[1] == before
    assert TABLE not in {one.weight for one in channel_groups(unet).slices}


def test_a_table_for_other_labels_is_refused(kind: str) -> None:
    structure = Structure.of(build_unet(told(kind), 0).state_dict())
    rows, width = structure.shapes[TABLE]
    fewer = tuple((name, (rows - 1, width) if name == TABLE else shape) for name, shape in structure.tensors)
    with pytest.raises(StructureError, match="3 rows must be 4"):
        check_structure(told(kind), Structure(fewer))


@pytest.mark.parametrize("codec", ["int8", "int4"])
def test_each_label_has_a_scale_of_its_own(codec: str) -> None:
    """A class that hardly anyone has is not rounded to nothing beside the others."""
    unet = build_unet(told("unet2d"), 0)
    with torch.no_grad():
        unet.get_parameter(TABLE)[1] *= 1e-4
    model = pack(unet.state_dict())
    coded = code(model, CODECS.read({"kind": codec, "of": "weights", "zstd": None, "error_feedback": False}, "codec"))
    decoded = unpack(coded.decode())[TABLE]
    error = (decoded - unet.get_parameter(TABLE)).norm(dim=1) / unet.get_parameter(TABLE).norm(dim=1)
    assert error.max() < 0.2


@pytest.mark.parametrize(
    ("network", "classes", "unet", "error"),
    [
        ("unet2d", None, {CLASS_EMBEDS: 4}, r"^model\.unet=.*is for model\.classes=labels"),
        ("unet2d", "labels", {}, r"^model\.classes=labels: needs model\.unet\.num_class_embeds"),
        ("unet2d", "labels", {CLASS_EMBEDS: 1}, r"^model\.classes=labels: needs model\.unet\.num_class_embeds"),
        ("tests.common.users_networks:Plain", "labels", {}, r"^model\.classes=labels: .*cannot be told classes"),
    ],
)
def test_what_cannot_be_told_classes_is_refused(
    network: str, classes: str | None, unet: dict[str, object], error: str
) -> None:
    model = BARE["unet2d"].model_copy(update={"classes": classes, "unet": BARE["unet2d"].unet | unet})
    if ":" in network:
        model = model.model_copy(update={"network": network, "unet": {"sample_size": 8, "in_channels": 1}})
    with pytest.raises(SettingError, match=error):
        build_unet(model, 0)


def test_numbers_without_labels_are_what_they_were(kind: str) -> None:
    """The weights of a network that takes none are drawn as before there were any."""
    assert TABLE not in build_unet(BARE[kind], 0).state_dict()
    assert np.isfinite(pack(build_unet(BARE[kind], 0).state_dict()).vector).all()

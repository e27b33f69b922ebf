"""Networks that learn by adapters beside frozen weights."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import small_config
from test_given import digits_unet, save_unet

from fedphd.client.network import network
from fedphd.common.config import ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.adapted import AdaptedUNet
from fedphd.common.network.build import build_unet, check_frozen, dense_structure
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.network.rebuild import check_structure, rebuild_unet
from fedphd.common.network.structure import Structure, StructureError
from fedphd.common.wire.parts import PARTS, restrict
from fedphd.server.pruning_schedule import merged

IMAGES, TIMES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 700])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_unet(tmp_path_factory.mktemp("base"))


def adapted(base: Path, *overrides: str) -> ModelConfig:
    return small_config("adapters=lora", f"model.init={base}", *overrides).model


def some_adapters(model: ModelConfig) -> PackedModel:
    structure = dense_structure(model)
    return PackedModel(structure, np.random.default_rng(0).normal(0, 0.1, structure.size).astype(np.float32))


def predicted(unet: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        sample: torch.Tensor = unet.eval()(IMAGES, TIMES).sample
    return sample


def test_only_the_adapters_show(base: Path) -> None:
    unet = build_unet(adapted(base), seed=0)
    assert isinstance(unet, AdaptedUNet)
    names = [name for name, _ in unet.named_parameters()]
    assert names == list(unet.state_dict()) and all(".lora_" in name for name in names)
    assert len(names) == 2 * 4 * 4  # A and B of four projections in four attentions
    assert dense_structure(adapted(base)) == Structure.of(unet.state_dict())
    assert sum(restrict(dense_structure(adapted(base)), (part,)).size for part in PARTS) == 16_384


def test_new_adapters_change_nothing_and_are_drawn_from_the_seed(base: Path) -> None:
    before = torch.random.get_rng_state()
    one, again, other = (build_unet(adapted(base), seed) for seed in (0, 0, 1))
    assert torch.equal(predicted(one), predicted(digits_unet()))
    hashes = [pack(unet.state_dict()).hash for unet in (one, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    rebuild_unet(adapted(base), dense_structure(adapted(base)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_moves_the_adapters_alone(base: Path) -> None:
    model = adapted(base)
    unet = network(model, some_adapters(model)).train()
    frozen = {name: one.clone() for name, one in unet.network.state_dict().items() if "lora_" not in name}  # type: ignore
    optimizer = torch.optim.Adam(unet.parameters(), lr=0.1, fused=True)
    unet(IMAGES, TIMES).sample.square().mean().backward()
    optimizer.step()
    assert pack(unet.state_dict()).hash != some_adapters(model).hash
    after = unet.network.state_dict()  # type: ignore[operator, union-attr]
    assert all(torch.equal(tensor, after[name]) for name, tensor in frozen.items())


def test_a_copy_is_of_its_own(base: Path) -> None:
    model = adapted(base)
    unet = network(model, some_adapters(model))
    other = copy.deepcopy(unet)
    other.load_state_dict({name: torch.zeros_like(one) for name, one in other.state_dict().items()})
    assert pack(unet.state_dict()).hash == some_adapters(model).hash
    assert not torch.equal(predicted(unet), predicted(other))


@pytest.mark.parametrize("targets", ["[to_q,to_out.0]", "[conv1,conv2,to_k]"])
def test_merged_it_is_a_network_as_it_was(base: Path, targets: str) -> None:
    config = small_config(
        "adapters=lora", f"model.init={base}", "model.adapters.alpha=4", f"model.adapters.targets={targets}"
    )
    packed = some_adapters(config.model)
    unet = network(config.model, packed)
    whole = merged(config, packed)
    assert Structure.of(whole.state_dict()) == dense_structure(small_config().model)
    assert all(parameter.requires_grad for parameter in whole.parameters())
    assert not torch.allclose(predicted(whole), predicted(digits_unet()), atol=1e-3)
    torch.testing.assert_close(predicted(whole), predicted(unet), atol=1e-5, rtol=1e-4)


def test_adapters_of_another_structure_are_refused(base: Path) -> None:
    model, structure = adapted(base), dense_structure(adapted(base))
    name, (rank, width) = structure.tensors[0]
    with pytest.raises(StructureError, match=rf"tensor {name}: shape \(4, {width}\) must be \({rank}, {width}\)"):
        check_structure(model, Structure(((name, (4, width)), *structure.tensors[1:])))
    with pytest.raises(StructureError, match="is missing"):
        check_structure(model, Structure(structure.tensors[1:]))
    with pytest.raises(RuntimeError, match="do not have the same names"):
        build_unet(model, 0).load_state_dict({name: torch.zeros(rank, width)})


class TestErrors:
    def test_nothing_to_train_beside(self) -> None:
        with pytest.raises(
            SettingError, match=r"^model.init=null: model.adapters.kind=lora trains beside given weights"
        ):
            small_config("adapters=lora")

    def test_weights_that_would_be_pruned(self, base: Path) -> None:
        with pytest.raises(
            SettingError, match=r"^pruning=at_start: would narrow .*; use pruning=none, or adapters=none"
        ):
            small_config("adapters=lora", f"model.init={base}", "pruning=at_start", "pruning.ratio=0.4")

    def test_a_missing_library(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "peft", None)
        with pytest.raises(
            SettingError, match=r"^model.adapters.kind=lora: .*; install the extra: pip install 'fedphd\[lora\]'"
        ):
            build_unet(adapted(base), 0)

    def test_layers_that_are_not_there(self, base: Path) -> None:
        told = r"^model.adapters=.*cannot be added \(.*to_x.*\); targets may be conv, .*conv1, .*to_out.0"
        with pytest.raises(SettingError, match=told):
            build_unet(adapted(base, "model.adapters.targets=[to_x]"), 0)

    def test_a_narrower_model(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="is narrower than the configured network; adapters need a dense one"):
            build_unet(adapted(save_unet(tmp_path, block_out_channels=(16, 64))), 0)

    def test_other_weights_on_this_machine(self, base: Path) -> None:
        check_frozen(adapted(base))
        with pytest.raises(
            SettingError, match=rf"^model.init={base}: has other weights here than the run was started with"
        ):
            check_frozen(adapted(base, f"model.init_hash={'a' * 64}"))

    def test_a_hash_of_nothing(self) -> None:
        with pytest.raises(SettingError, match=r"^model.init_hash=abc: is of no weights"):
            small_config("model.init_hash=abc")

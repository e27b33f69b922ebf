from importlib.resources import files

import pytest
import torch
import yaml
from diffusers.models.attention_processor import Attention, AttnProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fedphd.common.config import ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.counting import count
from fedphd.common.network.networks import image_shape
from fedphd.common.network.packing import pack, unpack
from fedphd.common.network.pruning import prune
from fedphd.common.network.rebuild import check_structure, rebuild_unet
from fedphd.common.network.structure import Structure, StructureError


def configured(name):
    return ModelConfig.model_validate(yaml.safe_load((files("conf") / "model" / f"{name}.yaml").read_text()))


DIGITS = configured("digits8")


@pytest.fixture(scope="module")
def digits():
    return build_unet(DIGITS, seed=0)


@pytest.fixture(scope="module")
def structure(digits):
    return Structure.of(digits.state_dict())


@pytest.fixture(scope="module")
def pruned(digits):
    return prune(digits, 0.25)[0].eval()


def predict(unet):
    generator = torch.Generator().manual_seed(1)
    shape = image_shape(unet)
    x_t = torch.randn(2, *shape, generator=generator, dtype=unet.dtype)
    with torch.no_grad():
        return unet(x_t, torch.tensor([3, 700])).sample


def with_shape(structure, name, shape):
    return Structure(tuple((key, shape if key == name else old) for key, old in structure.tensors))


class TestBuild:
    @pytest.mark.parametrize(("name", "parameters"), [("digits8", 701_345), ("fashion28", 1_112_801)])
    def test_sizes_of_the_small_models(self, name, parameters):
        assert count(build_unet(configured(name), 0))[0] == parameters

    @pytest.mark.parametrize("name", ["digits8", "fashion28", "ddpm_cifar10"])
    def test_groups_are_a_quarter_of_the_narrowest_width(self, name):
        # Then a ratio of 1/4 removes exactly a quarter of every layer's channels.
        options = configured(name).unet
        assert options["norm_num_groups"] * 4 == min(options["block_out_channels"])

    def test_weights_follow_from_the_seed_alone(self, digits):
        torch.rand(7)
        again, other = build_unet(DIGITS, seed=0), build_unet(DIGITS, seed=1)
        assert pack(again.state_dict()).hash == pack(digits.state_dict()).hash
        assert pack(other.state_dict()).hash != pack(digits.state_dict()).hash

    def test_global_generator_is_left_as_it_was(self):
        model = DIGITS.model_copy(update={"unet": DIGITS.unet | {"dropout": 0.5}})
        state = torch.get_rng_state()
        rebuild_unet(model, Structure.of(build_unet(model, seed=0).state_dict()))
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"chanels": 3}, "chanels"),
            ({"block_out_channels": [30, 64]}, "norm_num_groups"),
            ({"block_out_channels": [32]}, "block_out_channels"),
            ({"block_out_channels": "wide"}, "block_out_channels"),
            ({"down_block_types": ["DownBlock2D", "NoSuchBlock"]}, "NoSuchBlock"),
            ({"sample_size": 7}, "sample_size"),
            ({"sample_size": None}, "sample_size"),
            ({"in_channels": 3}, "in_channels"),
            ({"num_class_embeds": 10}, "model.classes=labels"),
        ],
    )
    def test_bad_options_are_named(self, options, told):
        model = DIGITS.model_copy(update={"unet": DIGITS.unet | options})
        with pytest.raises(SettingError, match=told) as error:
            build_unet(model, seed=0)
        assert error.value.key == "model.unet"


class TestCount:
    def test_parameters_and_macs_by_hand(self):
        # One block of width 4 without attention, 2 groups, time width 16, kernel 3, 2x2 images of 1 channel.
        unet = {
            "sample_size": 2,
            "in_channels": 1,
            "out_channels": 1,
            "layers_per_block": 1,
            "block_out_channels": [4],
            "norm_num_groups": 2,
            "down_block_types": ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"],
            "mid_block_type": None,
        }
        # in 1*9*4+4 = 40; time 4*16+16 + 16*16+16 = 352; out: norm 8, conv 4*9+1 = 37.
        # A resnet of input width c: norms 2c + 8, convs (c*9*4+4) + (4*9*4+4), time 16*4+4 = 68,
        # and, where c = 8, a shortcut 8*4+4 = 36. c = 4: 16 + 148 + 148 + 68 = 380;
        # c = 8: 24 + 292 + 148 + 68 + 36 = 568. One c = 4 going down, two c = 8 going up.
        parameters, macs = count(build_unet(DIGITS.model_copy(update={"unet": unet}), 0))
        assert parameters == 40 + 352 + 45 + 380 + 2 * 568 == 1953
        # torch-pruning counts a bias as one MAC and leaves out GroupNorm's statistics; the convolutions on
        # 4 pixels dominate: 4 * (36 + 2*144 + 2*(288 + 144 + 32) + 36) = 5152 without biases and norms.
        assert 5152 < macs < 6200

    def test_leaves_the_unet_as_it_was(self, digits):
        assert digits.training
        assert not any(module._forward_hooks for module in digits.modules())
        before = pack(digits.state_dict()).hash
        assert count(digits) == count(digits, (1, 8, 8))
        assert digits.training
        assert pack(digits.state_dict()).hash == before
        assert not any(module._forward_hooks for module in digits.modules())


class TestRebuild:
    def test_dense_unet_comes_back(self, digits, structure):
        rebuilt = rebuild_unet(DIGITS, structure)
        assert not any(tensor.any() for tensor in rebuilt.state_dict().values())
        assert rebuilt.training
        rebuilt.load_state_dict(unpack(pack(digits.state_dict())))
        assert torch.equal(predict(rebuilt), predict(digits))

    def test_pruned_unet_comes_back_bit_for_bit(self, pruned):
        packed = pack(pruned.state_dict())
        rebuilt = rebuild_unet(DIGITS, Structure.from_json(packed.structure.to_json()))
        rebuilt.load_state_dict(unpack(packed))
        assert torch.equal(predict(rebuilt.eval()), predict(pruned))

    @pytest.mark.parametrize("ratio", [0.05, 0.2, 0.3, 0.4])
    def test_every_ratio_of_the_pruning_table(self, ratio):
        model = configured("ddpm_cifar10")
        narrow, _ = prune(build_unet(model, 0), ratio)
        rebuilt = rebuild_unet(model, Structure.of(narrow.state_dict()))
        assert count(rebuilt) == count(narrow)
        assert Structure.of(rebuilt.state_dict()) == Structure.of(narrow.state_dict())

    def test_layers_know_their_new_widths(self, pruned):
        rebuilt = rebuild_unet(DIGITS, Structure.of(pruned.state_dict()))
        for module in rebuilt.modules():
            if isinstance(module, nn.Conv2d):
                assert module.weight.shape[:2] == (module.out_channels, module.in_channels)
            elif isinstance(module, nn.Linear):
                assert module.weight.shape == (module.out_features, module.in_features)
            elif isinstance(module, nn.GroupNorm):
                assert module.weight.shape == (module.num_channels,)
            elif isinstance(module, Attention):
                # 64 channels in 8 heads of 8; a quarter less: 48 in 8 heads of 6.
                assert (module.query_dim, module.inner_dim, module.inner_kv_dim, module.out_dim) == (48, 48, 48, 48)
                assert module.heads == 8
                assert module.scale == 6**-0.5

    def test_attention_that_reads_its_own_scale_agrees(self, pruned):
        # PyTorch's fused attention takes 1/sqrt(d) from the tensors, the classic processor from Attention.scale, and
        # its softmax in float32: so 1e-6. A scale left at the dense 1/sqrt(8) would be 6e-3 off.
        rebuilt = rebuild_unet(DIGITS, Structure.of(pruned.state_dict()))
        rebuilt.load_state_dict(pruned.state_dict())
        fused = predict(rebuilt.eval())
        for module in rebuilt.modules():
            if isinstance(module, Attention):
                module.set_processor(AttnProcessor())
        assert torch.allclose(predict(rebuilt), fused, rtol=0, atol=1e-6)

    def test_rebuilt_unet_trains(self, pruned):
        rebuilt = rebuild_unet(DIGITS, Structure.of(pruned.state_dict()))
        rebuilt.load_state_dict(pruned.state_dict())
        rebuilt(torch.ones(1, 1, 8, 8), torch.tensor([5])).sample.square().sum().backward()
        assert all(parameter.grad is not None for parameter in rebuilt.parameters())


class TestCheckStructure:
    def test_dense_and_pruned_are_accepted(self, structure, pruned):
        check_structure(DIGITS, structure)
        check_structure(DIGITS, Structure.of(pruned.state_dict()))

    def test_missing_tensor(self, structure):
        with pytest.raises(StructureError, match=r"conv_in\.weight is missing"):
            check_structure(DIGITS, Structure(structure.tensors[1:]))

    def test_unknown_tensor(self, structure):
        with pytest.raises(StructureError, match="no tensor backdoor"):
            check_structure(DIGITS, Structure((*structure.tensors, ("backdoor", (1,)))))

    def test_order_and_repetition(self, structure):
        with pytest.raises(StructureError, match="order"):
            check_structure(DIGITS, Structure(structure.tensors[::-1]))
        with pytest.raises(StructureError, match="order"):
            check_structure(DIGITS, Structure((*structure.tensors, structure.tensors[0])))

    @pytest.mark.parametrize(
        ("name", "shape", "told"),
        [
            ("conv_in.weight", (32, 1, 3), "3 dimensions, must have 4"),
            ("conv_in.weight", (32, 1, 3, 1), "kernel size"),
            ("conv_in.weight", (64, 1, 3, 3), "dense"),
            ("conv_in.weight", (2**40, 1, 3, 3), "dense"),
            ("conv_in.weight", (0, 1, 3, 3), "within 1"),
            ("conv_in.weight", (24, 1, 3, 3), r"conv_in\.bias"),
            ("conv_norm_out.weight", (31,), r"conv_norm_out\.bias"),
            ("down_blocks.1.attentions.0.to_k.weight", (48, 64), r"to_k\.bias"),
        ],
    )
    def test_hostile_shapes(self, structure, name, shape, told):
        with pytest.raises(StructureError, match=told):
            check_structure(DIGITS, with_shape(structure, name, shape))
        with pytest.raises(StructureError, match=told):
            rebuild_unet(DIGITS, with_shape(structure, name, shape))

    def test_groups_must_divide_widths(self, structure):
        shapes = with_shape(with_shape(structure, "conv_norm_out.weight", (30,)), "conv_norm_out.bias", (30,))
        with pytest.raises(StructureError, match="width 30 must be a multiple of 8"):
            check_structure(DIGITS, shapes)

    def test_heads_must_divide_attention(self, structure):
        # 63 channels cannot be 8 heads, though q, k, v and out fit each other.
        block = "mid_block.attentions.0"
        for layer in ("to_q", "to_k", "to_v"):
            structure = with_shape(structure, f"{block}.{layer}.weight", (63, 64))
            structure = with_shape(structure, f"{block}.{layer}.bias", (63,))
        with pytest.raises(StructureError, match="do not fit"):
            check_structure(DIGITS, with_shape(structure, f"{block}.to_out.0.weight", (64, 63)))

    def test_a_pruned_time_table_is_refused(self):
        learned = {"time_embedding_type": "learned", "num_train_timesteps": 10}
        model = DIGITS.model_copy(update={"unet": DIGITS.unet | learned})
        structure = Structure.of(build_unet(model, 0).state_dict())
        check_structure(model, structure)
        with pytest.raises(StructureError, match="9 rows must be 10"):
            check_structure(model, with_shape(structure, "time_proj.weight", (9, 32)))

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_no_single_size_can_change_alone(self, structure, data):
        wide = [(name, shape) for name, shape in structure.tensors if max(shape[:2]) >= 32]
        name, shape = data.draw(st.sampled_from(wide))
        axis = data.draw(st.sampled_from([axis for axis, size in enumerate(shape) if size >= 32]))
        size = data.draw(st.integers(2, shape[axis] + 8).filter(lambda size: size != shape[axis]))
        with pytest.raises(StructureError):
            check_structure(DIGITS, with_shape(structure, name, (*shape[:axis], size, *shape[axis + 1 :])))

    def test_model_of_another_configuration_is_refused(self, structure):
        with pytest.raises(StructureError):
            check_structure(configured("fashion28"), structure)

from importlib.resources import files

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fedphd.common.config import ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network import ConvNextUNet
from fedphd.common.network.build import build_unet
from fedphd.common.network.convnext import LinearAttention
from fedphd.common.network.counting import count
from fedphd.common.network.networks import image_shape
from fedphd.common.network.packing import pack, unpack
from fedphd.common.network.rebuild import check_structure, rebuild_unet
from fedphd.common.network.structure import Structure, StructureError


def configured(name):
    return ModelConfig.model_validate(yaml.safe_load((files("conf") / "model" / f"{name}.yaml").read_text())["model"])


FMNIST = configured("feddiffuse_fmnist")
SMALL = FMNIST.model_copy(
    update={"unet": FMNIST.unet | {"sample_size": 8, "dim": 8, "dim_mults": [1, 2], "attention_head_dim": 4}}
)


@pytest.fixture(scope="module")
def small():
    return build_unet(SMALL, seed=0).eval()


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class TestPublishedSizes:
    def test_fashion_mnist_in_parts(self):
        sizes = {"encoder": 0, "bottleneck": 0, "decoder": 0}
        parts = {"conv_in": "encoder", "time_embedding": "encoder", "down_blocks": "encoder"}
        parts |= {"mid_block": "bottleneck", "up_blocks": "decoder", "conv_out": "decoder"}
        for name, tensor in build_unet(FMNIST, 0).state_dict().items():
            sizes[parts[name.split(".")[0]]] += tensor.numel()
        assert sizes == {"encoder": 1_280_642, "bottleneck": 999_376, "decoder": 716_297}

    @pytest.mark.parametrize(
        ("name", "parameters"), [("feddiffuse_fmnist", 2_996_315), ("feddiffuse_celeba64", 14_892_477)]
    )
    def test_total(self, name, parameters):
        unet = build_unet(configured(name), 0)
        assert count(unet)[0] == parameters
        assert image_shape(unet) == tuple(configured(name).unet[key] for key in ("in_channels", *["sample_size"] * 2))

    def test_defaults_are_those_of_fashion_mnist(self):
        assert Structure.of(ConvNextUNet().state_dict()) == Structure.of(build_unet(FMNIST, 0).state_dict())

    def test_macs_of_the_input_convolution(self):
        # Width 4 // 3 * 2 = 2 from 1 channel, 7x7 kernels: 2 * 49 MACs and 2 for the biases on each of 4 * 4 pixels.
        unet = ConvNextUNet(sample_size=4, dim=4, dim_mults=[1], attention_heads=1, attention_head_dim=1)
        without = count(unet)[1]
        unet.conv_in = torch.nn.Conv2d(1, 2, 5, padding=2)
        assert without - count(unet)[1] == 2 * (49 - 25) * 16


class TestForward:
    @pytest.mark.parametrize("size", [8, 12])
    def test_prediction_has_the_images_shape(self, small, size):
        with torch.no_grad():
            assert small(noise(3, 1, size, size), 5).sample.shape == (3, 1, size, size)

    def test_colour(self):
        unet = ConvNextUNet(sample_size=16, in_channels=3, out_channels=3, dim=8)
        assert unet(noise(1, 3, 16, 16), 0).sample.shape == (1, 3, 16, 16)

    def test_forms_of_the_time(self, small):
        x_t = noise(2, 1, 8, 8)
        with torch.no_grad():
            expected = small(x_t, torch.tensor([700, 700])).sample
            for t in (700, 700.0, torch.tensor(700), torch.tensor([700])):
                assert torch.equal(small(x_t, t).sample, expected)
            mixed = small(x_t, torch.tensor([700, 3])).sample
        assert torch.allclose(mixed[0], expected[0], atol=1e-6)
        assert not torch.allclose(mixed[1], expected[1], atol=1e-3)

    def test_gradients_reach_every_parameter(self):
        unet = build_unet(SMALL, 0)
        unet(noise(2, 1, 8, 8), torch.tensor([3, 700])).sample.square().mean().backward()
        assert [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.any()] == []

    def test_bottleneck_is_one_module_with_one_feature_map(self, small):
        seen = []
        handle = small.mid_block.register_forward_hook(lambda module, inputs, output: seen.append(output))
        with torch.no_grad():
            small(noise(2, 1, 8, 8), 5)
        handle.remove()
        assert [tuple(features.shape) for features in seen] == [(2, 16, 4, 4)]

    def test_bfloat16_and_channels_last(self, small):
        x_t = noise(2, 1, 8, 8)
        with torch.no_grad():
            expected = small(x_t, 5).sample
            last = build_unet(SMALL, 0).eval().to(memory_format=torch.channels_last)
            assert torch.allclose(last(x_t.to(memory_format=torch.channels_last), 5).sample, expected, atol=1e-5)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = small(x_t, 5).sample
        assert rounded.dtype == torch.bfloat16
        assert torch.allclose(rounded.float(), expected, atol=0.05)

    def test_images_of_a_batch_do_not_mix(self, small):
        x_t = noise(3, 1, 8, 8)
        with torch.no_grad():
            together = small(x_t, 5).sample
            alone = torch.cat([small(x, 5).sample for x in x_t.split(1)])
        assert torch.allclose(together, alone, atol=1e-5)


class TestLinearAttention:
    def test_by_hand(self):
        # Two heads of one channel on 1x2 pixels. A softmax over one channel is 1, and d = 1 makes the scale 1, so
        # each head gives to all pixels the mean of its values, weighted by the softmax of its keys over the pixels.
        block = LinearAttention(2, (2, 1)).double()
        attention = block.attention
        for layer in (attention.to_k, attention.to_v, attention.to_out[0]):
            torch.nn.init.eye_(layer.weight)
        attention.group_norm, block.norm_out = torch.nn.Identity(), torch.nn.Identity()
        torch.nn.init.zeros_(attention.to_out[0].bias)
        x = torch.tensor([[[[0.0, 1.0]], [[2.0, 2.0]]]], dtype=torch.float64)
        # Keys 0 and 1: weights 1/(1+e) and e/(1+e), so the mean of 0 and 1 is e/(1+e) = 0.731058...; that of 2, 2 is 2.
        expected = x + torch.tensor([0.7310585786300049, 2.0], dtype=torch.float64)[None, :, None, None]
        assert torch.allclose(block(x), expected, atol=1e-12)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 2**31))
    def test_pixels_have_no_order(self, seed):
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(0)
        block = LinearAttention(8, (2, 4)).double()
        x = torch.randn(1, 8, 3, 4, generator=generator, dtype=torch.float64)
        order = torch.randperm(12, generator=generator)
        shuffled = block(x.flatten(2)[..., order].unflatten(-1, (3, 4)))
        assert torch.allclose(shuffled, block(x).flatten(2)[..., order].unflatten(-1, (3, 4)), atol=1e-12)


class TestBuildAndRebuild:
    def test_weights_follow_from_the_seed_alone(self, small):
        torch.rand(7)
        state = torch.get_rng_state()
        assert pack(build_unet(SMALL, 0).state_dict()).hash == pack(small.state_dict()).hash
        assert pack(build_unet(SMALL, 1).state_dict()).hash != pack(small.state_dict()).hash
        assert torch.equal(torch.get_rng_state(), state)

    def test_comes_back_from_shapes_and_weights(self, small):
        packed = pack(small.state_dict())
        rebuilt = rebuild_unet(SMALL, Structure.from_json(packed.structure.to_json()))
        assert type(rebuilt) is ConvNextUNet
        assert rebuilt.training
        rebuilt.load_state_dict(unpack(packed))
        with torch.no_grad():
            assert torch.equal(rebuilt.eval()(noise(2, 1, 8, 8), 5).sample, small(noise(2, 1, 8, 8), 5).sample)

    def test_state_is_its_parameters(self, small):
        assert list(small.state_dict()) == [name for name, _ in small.named_parameters()]

    def test_saved_and_loaded_by_diffusers(self, small, tmp_path):
        small.save_pretrained(tmp_path)
        loaded = ConvNextUNet.from_pretrained(tmp_path)
        assert loaded.config.dim_mults == [1, 2]
        assert pack(loaded.state_dict()).hash == pack(small.state_dict()).hash

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"block_out_channels": [32]}, "ConvNextUNet has no such option; it has .*dim_mults"),
            ({"sample_size": 9}, "ConvNextUNet cannot be built and run .*sample_size a multiple"),
            ({"sample_size": None}, "sample_size"),
            ({"dim": 3}, "dim must be at least 4"),
            ({"dim_mults": []}, "ConvNextUNet"),
            ({"in_channels": 3}, "in_channels equal to out_channels"),
            ({"attention_heads": "many"}, "ConvNextUNet"),
        ],
    )
    def test_bad_options_are_named(self, options, told):
        with pytest.raises(SettingError, match=told) as error:
            build_unet(SMALL.model_copy(update={"unet": SMALL.unet | options}), seed=0)
        assert error.value.key == "model.unet"


class TestCheckStructure:
    @staticmethod
    def changed(unet, **shapes):
        structure = Structure.of(unet.state_dict())
        return Structure(tuple((name, shapes.get(name.replace(".", "_"), shape)) for name, shape in structure.tensors))

    @pytest.mark.parametrize(
        ("shapes", "told"),
        [
            # A depthwise convolution takes as many channels as it gives, and each of them alone.
            (
                {"mid_block_block1_depthwise_weight": (12, 1, 7, 7), "mid_block_block1_depthwise_bias": (12,)},
                "do not fit",
            ),
            ({"mid_block_block1_depthwise_weight": (16, 2, 7, 7)}, "dense"),
            # A transposed convolution's outputs are its weight's second axis.
            ({"up_blocks_0_sampler_weight": (8, 6, 4, 4)}, r"sampler\.bias: shape \(8,\) must be \(6,\)"),
            ({"up_blocks_0_sampler_weight": (8, 6, 4, 4), "up_blocks_0_sampler_bias": (6,)}, "do not fit"),
            ({"up_blocks_0_sampler_weight": (6, 8, 4, 4)}, "do not fit"),
        ],
    )
    def test_layers_must_fit(self, small, shapes, told):
        with pytest.raises(StructureError, match=told):
            check_structure(SMALL, self.changed(small, **shapes))

    def test_another_networks_model_is_refused(self, small):
        digits = configured("digits8")
        with pytest.raises(StructureError):
            check_structure(digits, Structure.of(small.state_dict()))
        with pytest.raises(StructureError):
            check_structure(SMALL, Structure.of(build_unet(digits, 0).state_dict()))

    def test_an_attention_with_fewer_channels_than_heads(self, small):
        tensors = Structure.of(small.state_dict()).tensors
        name, (_, inputs) = next((name, shape[:2]) for name, shape in tensors if name.endswith("to_q.weight"))
        with pytest.raises(StructureError, match="attention with 4 heads has 1 channels"):
            check_structure(SMALL, self.changed(small, **{name.replace(".", "_"): (1, inputs)}))

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_no_single_size_can_change_alone(self, small, data):
        structure = Structure.of(small.state_dict())
        wide = [(name, shape) for name, shape in structure.tensors if max(shape[:2]) >= 8]
        name, shape = data.draw(st.sampled_from(wide))
        axis = data.draw(st.sampled_from([axis for axis, size in enumerate(shape[:2]) if size >= 8]))
        size = data.draw(st.integers(2, shape[axis] + 2).filter(lambda size: size != shape[axis]))
        new = (*shape[:axis], size, *shape[axis + 1 :])
        with pytest.raises(StructureError):
            check_structure(SMALL, self.changed(small, **{name.replace(".", "_"): new}))

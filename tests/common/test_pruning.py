import gc
import weakref
from importlib.resources import files

import pytest
import torch
import torch.nn.functional as F
import yaml
from diffusers.models.attention_processor import Attention
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CONVNEXT, SMALL
from torch import nn

from fedphd.common.config import ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.convnext import LinearAttention
from fedphd.common.network.counting import count
from fedphd.common.network.packing import pack
from fedphd.common.network.pruning import prune, prune_like
from fedphd.common.network.rebuild import rebuild_unet
from fedphd.common.network.structure import Structure, StructureError


@pytest.fixture
def small():
    return build_unet(SMALL, seed=0)


def weights_hash(unet):
    return pack(unet.state_dict()).hash


def train_once(unet, optimizer):
    """Take one step of the optimizer; return the largest change within each parameter."""
    before = [parameter.detach().clone() for parameter in unet.parameters()]
    optimizer.zero_grad()
    x_t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    unet(x_t, torch.tensor([3, 700])).sample.square().mean().backward()
    optimizer.step()
    return [(new - old).abs().max().item() for new, old in zip(unet.parameters(), before, strict=True)]


@pytest.fixture(scope="module")
def fedphd_cifar10():
    text = (files("conf") / "model" / "fedphd_cifar10.yaml").read_text()
    return build_unet(ModelConfig.model_validate(yaml.safe_load(text)["model"]), seed=0)


class TestPublishedSizes:
    """FedPhD's U-Net at each pruning ratio, as its authors' code with their own fix-ups makes it."""

    def test_dense(self, fedphd_cifar10):
        parameters, macs = count(fedphd_cifar10)
        assert parameters == 35_746_307
        assert f"{macs / 1e9:.4f}" == "6.0641"
        assert f"{count(fedphd_cifar10, (3, 64, 64))[1] / 1e9:.4f}" == "24.2479"

    @pytest.mark.parametrize(
        ("ratio", "parameters", "macs", "macs_64"),
        [
            (0.05, "27.205", "4.2116", "16.839"),
            (0.1, "26.949", "4.2005", "16.795"),
            (0.2, "20.340", "3.4231", "13.687"),
            (0.25, "20.131", "3.4143", "13.652"),
            (0.3, "13.876", "2.0716", "8.283"),
            (0.4, "9.259", "1.5326", "6.128"),
        ],
    )
    def test_pruned(self, fedphd_cifar10, ratio, parameters, macs, macs_64):
        pruned, _ = prune(fedphd_cifar10, ratio)
        counted = count(pruned)
        assert (f"{counted[0] / 1e6:.3f}", f"{counted[1] / 1e9:.4f}") == (parameters, macs)
        assert f"{count(pruned, (3, 64, 64))[1] / 1e9:.3f}" == macs_64


class TestPrune:
    def test_widths_by_hand(self, small):
        # 0.2 of groups of 4 is 0.8 channels, rounded up to 1: 16 -> 12. Groups of 32/4 = 8 and heads of 8 lose 2
        # (8 * 0.8 = 6.4 -> 6): 32 -> 24. No groups tie the time embedding's 64: floor(51.2) = 51.
        pruned, pruning = prune(small, 0.2)
        assert pruned.conv_in.weight.shape == (12, 1, 3, 3)
        assert pruned.conv_out.weight.shape == (1, 12, 3, 3)
        assert pruned.mid_block.resnets[0].conv1.weight.shape == (24, 24, 3, 3)
        assert pruned.mid_block.attentions[0].to_q.weight.shape == (24, 24)
        assert pruned.mid_block.attentions[0].heads == 4
        # The sinusoid that enters the time embedding has no weights to prune.
        assert pruned.time_embedding.linear_1.weight.shape == (51, 16)
        assert pruning.ratio == 0.2

    def test_argument_is_unchanged(self, small):
        before, parameters = weights_hash(small), list(small.parameters())
        pruned, _ = prune(small, 0.25)
        assert weights_hash(small) == before
        assert all(now is then for now, then in zip(small.parameters(), parameters, strict=True))
        assert not {id(p) for p in pruned.parameters()} & {id(p) for p in parameters}
        assert count(small)[0] > count(pruned)[0]

    def test_deterministic(self, small):
        generator = torch.get_rng_state()
        (first, pruning), (second, again) = prune(small, 0.25), prune(small, 0.25)
        assert pruning == again
        assert weights_hash(first) == weights_hash(second)
        assert torch.equal(torch.get_rng_state(), generator)

    @pytest.mark.parametrize("training", [True, False])
    def test_mode_and_frozen_parameters_are_kept(self, small, training):
        small.train(training)
        small.conv_in.requires_grad_(False)
        pruned, _ = prune(small, 0.25)
        assert pruned.training is pruned.mid_block.training is training
        frozen = [name for name, parameter in pruned.named_parameters() if not parameter.requires_grad]
        assert frozen == ["conv_in.weight", "conv_in.bias"]
        assert pruned.conv_in.out_channels == 12

    def test_weakest_channels_go(self, small):
        # Channels 1, 5, 9, 13 of conv_in's group are second in their GroupNorm groups of 4: made tiny, they go.
        weak = [1, 5, 9, 13]
        kept = [channel for channel in range(16) if channel not in weak]
        with torch.no_grad():
            small.conv_in.weight[weak] *= 1e-3
            for layer in (small.down_blocks[0].resnets[0].conv1, small.up_blocks[1].resnets[1].conv1):
                layer.weight[:, weak if layer.in_channels == 16 else [16 + channel for channel in weak]] *= 1e-3
            small.down_blocks[0].resnets[0].conv2.weight[weak] *= 1e-3
        pruned, _ = prune(small, 0.25)
        assert torch.equal(pruned.conv_in.weight, small.conv_in.weight[kept])

    def test_pruning_again(self, small):
        # 16 -> 12 (groups of 3) -> floor(3 * 0.66) = 1 per group -> 4.
        twice, _ = prune(prune(small, 0.25)[0], 0.34)
        assert twice.conv_in.out_channels == 4
        assert all(torch.isfinite(torch.tensor(train_once(twice, torch.optim.SGD(twice.parameters(), 0.1)))))


class TestSilentNoOps:
    @pytest.mark.parametrize(
        "ratio",
        [
            0.0,
            1e-17,  # vanishes beside 1
            0.8,  # leaves a channel of groups of 8, none of groups of 4: only some layers would be pruned
            0.9,
            1.0,
            1.5,
            -0.25,
        ],
    )
    def test_a_ratio_that_cannot_be_met_is_refused(self, small, ratio):
        with pytest.raises(SettingError, match=r"above 0 and at most 0\.75") as error:
            prune(small, ratio)
        assert (error.value.key, error.value.value) == ("pruning.ratio", ratio)

    def test_the_advised_ratio_works(self, small):
        # A quarter of groups of 4, and of heads of 8, stays: 16 -> 4, 32 -> 8.
        pruned, _ = prune(small, 0.75)
        assert pruned.conv_in.out_channels == 4
        assert pruned.mid_block.attentions[0].to_q.out_features == 8

    @pytest.mark.parametrize("options", [{"norm_num_groups": 16}, {"attention_head_dim": 1}])
    def test_groups_of_one_channel_cannot_be_pruned(self, options):
        unet = build_unet(SMALL.model_copy(update={"unet": SMALL.unet | options}), 0)
        with pytest.raises(SettingError, match=r"no ratio works.*norm_num_groups"):
            prune(unet, 0.25)

    def test_frozen_parameters_are_pruned(self, small):
        # As an EMA's are. torch-pruning alone would prune nothing.
        expected = prune(small, 0.25)[1]
        pruned, pruning = prune(small.requires_grad_(False), 0.25)
        assert pruning == expected
        assert pruned.conv_in.out_channels == 12

    @pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
    def test_works_where_gradients_are_off(self, small, context):
        expected, pruning = prune(small, 0.25)
        with context():
            pruned, same = prune(small, 0.25)
            shadow = prune_like(small, pruning)
        assert same == pruning
        assert weights_hash(pruned) == weights_hash(shadow) == weights_hash(expected)
        assert min(train_once(pruned, torch.optim.AdamW(pruned.parameters(), 1e-3))) > 0

    @settings(max_examples=10, deadline=None)
    @given(ratio=st.floats(0.001, 0.999))
    def test_all_layers_lose_the_same_share_or_none(self, ratio):
        unet = build_unet(SMALL, 0)
        if int(4 * (1 - ratio)) == 0:
            with pytest.raises(SettingError):
                prune(unet, ratio)
            return
        pruned, _ = prune(unet, ratio)
        narrow, wide = 4 * int(4 * (1 - ratio)), 4 * int(8 * (1 - ratio))
        assert [block.resnets[0].conv1.out_channels for block in pruned.down_blocks] == [narrow, wide]
        assert {m.to_q.out_features for m in pruned.modules() if isinstance(m, Attention)} == {wide}


class TestStaleOptimizer:
    def test_old_optimizer_moves_nothing_and_a_new_one_everything(self, small):
        old = torch.optim.AdamW(small.parameters(), lr=1e-3)
        pruned, _ = prune(small.train(), 0.25)
        assert max(train_once(pruned, old)) == 0
        assert min(train_once(pruned, torch.optim.AdamW(pruned.parameters(), lr=1e-3))) > 0


class TestMemory:
    def test_no_layer_stays_alive(self):
        dense = build_unet(SMALL, 0)
        pruned, pruning = prune(dense, 0.25)
        shadow = prune_like(dense, pruning)
        layers = [weakref.ref(module) for unet in (dense, pruned, shadow) for module in unet.modules()]
        del dense, pruned, shadow
        gc.collect()
        assert not any(layer() for layer in layers)


def coded(unet):
    """Put each tensor's own indices into it: entry (o, i, ...) holds 1000 o + i, entry (o,) holds 1000 o."""
    with torch.no_grad():
        for parameter in unet.parameters():
            rows = 1000.0 * torch.arange(len(parameter))
            columns = torch.arange(parameter.shape[1]) if parameter.dim() > 1 else torch.zeros(1)
            code = (rows[:, None] + columns[None]).reshape(*parameter.shape[:2], *[1] * (parameter.dim() - 2))
            parameter.copy_(code.expand_as(parameter))
    return unet


def kept_channels(unet, pruning):
    """For each tensor, the rows and (else None) columns that stay, read from a network that holds its own indices."""
    kept = {}
    for name, tensor in prune_like(coded(unet), pruning).named_parameters():
        table = tensor.detach().long().reshape(*tensor.shape[:2], -1)
        rows = table.reshape(len(table), -1)[:, 0] // 1000
        columns = table.reshape(*tensor.shape[:2], -1)[0, :, 0] % 1000 if tensor.dim() > 1 else None
        kept[name] = (rows, columns)
    return kept


class TestPruneLike:
    def test_a_copy_comes_out_the_same(self, small):
        pruned, pruning = prune(small, 0.25)
        assert weights_hash(prune_like(small, pruning)) == weights_hash(pruned)

    def test_other_weights_lose_the_same_channels(self, small):
        pruned, pruning = prune(small, 0.25)
        ema = build_unet(SMALL, seed=1).requires_grad_(False).eval()
        shadow = prune_like(ema, pruning)
        assert Structure.of(shadow.state_dict()) == Structure.of(pruned.state_dict())
        assert not shadow.training
        assert not any(parameter.requires_grad for parameter in shadow.parameters())
        kept = kept_channels(build_unet(SMALL, seed=2), pruning)
        for dense, narrow in ((small, pruned), (ema, shadow)):
            tensors = dense.state_dict()
            for name, tensor in narrow.state_dict().items():
                rows, columns = kept[name]
                expected = tensors[name][rows] if columns is None else tensors[name][rows][:, columns]
                assert torch.equal(tensor, expected), name

    def test_other_structure_is_refused(self, small):
        pruned, pruning = prune(small, 0.25)
        with pytest.raises(StructureError, match=pruning.structure):
            prune_like(pruned, pruning)


class TestConvNext:
    @pytest.mark.parametrize(("model", "ratio"), [(CONVNEXT, 0.25), (CONVNEXT, 0.5), (CONVNEXT, 0.75)])
    def test_every_layer_loses_the_same_share(self, model, ratio):
        dense = build_unet(model, 0)
        pruned, _ = prune(dense, ratio)
        tensors = dense.state_dict()
        for name, tensor in pruned.state_dict().items():
            # The image's channel, the depthwise kernels' one input and the sinusoids keep their size.
            ends = {"conv_in.weight": (1,), "conv_out.1.weight": (0,), "conv_out.1.bias": (0,)}
            ends["time_embedding.linear_1.weight"] = (1,)
            kept = (1,) if "depthwise.weight" in name else ends.get(name, ())
            for axis, (now, before) in enumerate(zip(tensor.shape[:2], tensors[name].shape[:2], strict=True)):
                assert now == (before if axis in kept else before * (1 - ratio)), name

    def test_published_network_by_hand(self):
        # The input convolution's 18: floor(18 * 0.75) = 13; all other widths are multiples of 28 = 4 * 7.
        text = (files("conf") / "model" / "feddiffuse_fmnist.yaml").read_text()
        pruned, _ = prune(build_unet(ModelConfig.model_validate(yaml.safe_load(text)["model"]), 0), 0.25)
        assert pruned.conv_in.weight.shape == (13, 1, 7, 7)
        assert [block.block2.conv2.out_channels for block in pruned.down_blocks] == [21, 42, 84]
        assert pruned.up_blocks[0].sampler.weight.shape == (42, 42, 4, 4)
        assert pruned.up_blocks[0].block1.depthwise.weight.shape == (2 * 84, 1, 7, 7)
        assert pruned.mid_block.attention.to_q.weight.shape == (4 * 24, 84)

    def test_rebuilt_from_its_structure(self):
        pruned, _ = prune(build_unet(CONVNEXT, 0).eval(), 0.25)
        rebuilt = rebuild_unet(CONVNEXT, Structure.of(pruned.state_dict())).eval()
        rebuilt.load_state_dict(pruned.state_dict())
        x_t, t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 700])
        with torch.no_grad():
            assert torch.equal(rebuilt(x_t, t).sample, pruned(x_t, t).sample)
        assert count(rebuilt) == count(pruned)
        assert min(train_once(rebuilt, torch.optim.AdamW(rebuilt.parameters(), lr=1e-3))) > 0

    def test_others_can_be_pruned_alike(self):
        dense = build_unet(CONVNEXT, 0)
        pruned, pruning = prune(dense, 0.25)
        assert weights_hash(prune_like(dense, pruning)) == weights_hash(pruned)
        shadow = prune_like(build_unet(CONVNEXT, 1).requires_grad_(False), pruning)
        assert Structure.of(shadow.state_dict()) == Structure.of(pruned.state_dict())

    def test_a_ratio_that_leaves_nothing_is_refused(self):
        with pytest.raises(SettingError, match=r"above 0 and at most 0\.75"):
            prune(build_unet(CONVNEXT, 0), 0.8)


class TestEqualsMaskedDense:
    """A pruned U-Net computes what the dense one does with the removed channels at zero.

    That holds where GroupNorm takes its statistics over the kept channels only, where the dense
    attention's 1/sqrt(d) is made the pruned 1/sqrt(d'), and where linear attention's softmax over
    the channels of a query is taken over the kept ones. It fails if heads are mixed, or if any layer
    loses other channels than its neighbours.
    """

    @staticmethod
    def keep_only(rows):
        def hook(module, inputs, output):
            axis = 1 if output.dim() == 4 else -1
            mask = torch.zeros(output.shape[axis], dtype=output.dtype).index_fill(0, rows, 1)
            return output * (mask[:, None, None] if axis == 1 else mask)

        return hook

    @staticmethod
    def kept_statistics(rows):
        def hook(module, inputs, output):
            (x,) = inputs
            narrow = F.group_norm(x[:, rows], module.num_groups, module.weight[rows], module.bias[rows], module.eps)
            return torch.zeros_like(x).index_copy(1, rows, narrow)

        return hook

    @staticmethod
    def attend_only(rows):
        def hook(module, inputs, output):
            return torch.full_like(output, -torch.inf).index_copy(-1, rows, output[..., rows])

        return hook

    def mask(self, dense, kept):
        linear = [module.attention for module in dense.modules() if isinstance(module, LinearAttention)]
        for name, module in dense.named_modules():
            if isinstance(module, nn.GroupNorm):
                module.register_forward_hook(self.kept_statistics(kept[f"{name}.weight"][0]))
            elif any(module is attention.to_q for attention in linear):
                module.register_forward_hook(self.attend_only(kept[f"{name}.weight"][0]))
            elif isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(self.keep_only(kept[f"{name}.weight"][0]))
            elif isinstance(module, nn.ConvTranspose2d):
                module.register_forward_hook(self.keep_only(kept[f"{name}.weight"][1]))
            elif isinstance(module, Attention):
                wide, narrow = module.to_q.out_features, len(kept[f"{name}.to_q.weight"][0])
                if any(module is attention for attention in linear):
                    module.scale = (narrow / module.heads) ** -0.5
                else:
                    scale = (wide / narrow) ** 0.5
                    module.to_q.register_forward_hook(lambda module, inputs, output, scale=scale: output * scale)

    @pytest.mark.parametrize("ratio", [0.25, 0.5])
    @pytest.mark.parametrize(
        ("model", "options"),
        [
            (SMALL, {"attention_head_dim": 8}),
            (SMALL, {"attention_head_dim": 16}),
            (SMALL, {"attention_head_dim": None}),
            (CONVNEXT, {}),
        ],
    )
    def test_forward(self, model, options, ratio):
        model = model.model_copy(update={"unet": model.unet | options})
        dense = build_unet(model, 0).double().eval()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():  # norms and biases start as ones and zeros, which would hide errors
            for parameter in dense.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.2)
        pruned, pruning = prune(dense, ratio)
        self.mask(dense, kept_channels(build_unet(model, 0), pruning))
        x_t = torch.randn(2, 1, 8, 8, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            expected = dense(x_t, torch.tensor([3, 700])).sample
            actual = pruned(x_t, torch.tensor([3, 700])).sample
        assert count(pruned)[0] < count(dense)[0]
        assert torch.allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_blocks_that_resample_within_a_resnet_are_pruned_too():
    """As latent diffusion's U-Net has them."""
    resampling = {"downsample_type": "resnet", "upsample_type": "resnet", "resnet_time_scale_shift": "scale_shift"}
    model = SMALL.model_copy(
        update={"unet": SMALL.unet | resampling | {"up_block_types": ["ResnetUpsampleBlock2D"] * 2}}
    )
    unet, _ = prune(build_unet(model, seed=0), 0.25)
    rebuilt = rebuild_unet(model, Structure.of(unet.state_dict()))
    rebuilt.load_state_dict(unet.state_dict())
    x_t = torch.randn(2, 1, 8, 8)
    expected = unet.eval()(x_t, torch.tensor([3, 700])).sample
    assert torch.equal(rebuilt.eval()(x_t, torch.tensor([3, 700])).sample, expected)

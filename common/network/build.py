"""The U-Net: built from its options and a seed, or rebuilt from its options and a structure.

A pruned U-Net is the dense one with narrower layers. Its tensors' shapes say all about it, so
whoever has the options and the shapes can rebuild it: no pickle, no replay of the pruning.
"""

import inspect
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
import torch_pruning as tp
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from fedphd.common.config import ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network import ConvNextUNet, UNet
from fedphd.common.network.structure import Shape, Structure, StructureError
from fedphd.common.training.seeding import derive_seed

# By `model.network`: the class, and what its options must fulfil.
_NETWORKS: dict[str, tuple[type[UNet], str]] = {
    "unet2d": (
        UNet2DModel,
        "block_out_channels must be multiples of norm_num_groups, sample_size of 2 ** (blocks - 1), "
        "and in_channels equal to out_channels",
    ),
    "convnext": (
        ConvNextUNet,
        "dim must be at least 4, sample_size a multiple of 2 ** (levels - 1), and in_channels equal to out_channels",
    ),
}


def build_unet(model: ModelConfig, seed: int) -> UNet:
    """Build the dense U-Net, its initial weights drawn from the run's seed alone.

    Parameters
    ----------
    model : ModelConfig
        The network and its options.
    seed : int
        The run's seed. Torch's global generator is left as it was.

    Returns
    -------
    UNet
        In training mode, on the CPU.

    Raises
    ------
    SettingError
        If the network has no such option, or cannot be built or run with these.
    """
    unet = _skeleton(model)
    try:
        _dry_run(unet)
    except Exception as error:  # whatever torch raises for layers that do not fit each other
        raise _unusable(model, error) from error
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "unet"))
        return type(unet)(**model.unet)


def rebuild_unet(model: ModelConfig, structure: Structure) -> UNet:
    """Build the U-Net of a structure, to be filled by `load_state_dict`.

    Parameters
    ----------
    model : ModelConfig
        The options of the dense U-Net.
    structure : Structure
        The dense U-Net's or a pruned one's.

    Returns
    -------
    UNet
        In training mode, on the CPU, all weights zero.

    Raises
    ------
    StructureError
        If the configured U-Net cannot have this structure, as `check_structure` says.
    SettingError
        If the network cannot be built with the options.
    """
    check_structure(model, structure)
    unet = _resized(model, structure).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.zero_()
    return unet


def check_structure(model: ModelConfig, structure: Structure) -> None:
    """Check that a structure can be the configured U-Net's, dense or pruned; allocates nothing.

    Raises
    ------
    StructureError
        If a tensor is missing, unknown or misplaced; has another rank or kernel size; is wider than
        the dense U-Net's, or of a width that GroupNorm's groups do not divide; or if neighbouring
        layers do not fit.
    SettingError
        If the network cannot be built with the options.
    """
    _check(model.model_dump_json(), structure)


def dense_structure(model: ModelConfig) -> Structure:
    """Structure of the dense network; allocates nothing."""
    return Structure.of(_skeleton(model).state_dict())


def check_size(structure: Structure, model: ModelConfig) -> None:
    """Check, before room is made for its numbers, that a network is not larger than the configured dense one.

    Raises
    ------
    StructureError
        If it is.
    """
    most = dense_structure(model).size
    if structure.size > most:
        raise StructureError(
            f"structure {structure.id} has {structure.size} numbers; the configured network has {most}"
        )


def pixel_shape(model: ModelConfig) -> tuple[int, int, int]:
    """Shape (C, H, W) of the images that a network draws: the autoencoder's, where it draws latents."""
    if model.autoencoder is not None:
        side = model.autoencoder.image_size
        return model.autoencoder.image_channels, side, side
    return image_shape(_skeleton(model))


def count(unet: UNet, sample_shape: Sequence[int] | None = None) -> tuple[int, int]:
    """Count parameters, and multiply-accumulate operations (MACs) of one forward pass.

    Parameters
    ----------
    unet : UNet
        Dense or pruned; left as it is.
    sample_shape : Sequence[int], optional
        (C, H, W) of one image; by default that of the U-Net's options.

    Returns
    -------
    tuple[int, int]
        Parameters and MACs, as torch-pruning counts them.
    """
    sample = torch.zeros(1, *(sample_shape or image_shape(unet)), dtype=unet.dtype, device=unet.device)
    with torch.no_grad():
        macs, parameters = tp.utils.count_ops_and_params(unet, (sample, torch.zeros(1, device=unet.device).long()))
    return int(parameters), int(macs)


def image_shape(unet: UNet) -> tuple[int, int, int]:
    """Shape (C, H, W) of the images for which the U-Net is configured."""
    return unet.config.in_channels, unet.config.sample_size, unet.config.sample_size


def refresh_widths(unet: UNet) -> None:
    """Renew, after layers were narrowed in place, what diffusers' blocks note about their widths.

    Up- and downsampling assert their number of channels; attention notes the scale 1/sqrt(d) and
    its inner width, which some attention processors use.

    Raises
    ------
    StructureError
        If an attention has fewer channels than heads.
    """
    for module in unet.modules():
        if isinstance(module, Upsample2D | Downsample2D) and isinstance(module.conv, nn.Conv2d):
            module.channels, module.out_channels = module.conv.in_channels, module.conv.out_channels
        elif isinstance(module, Attention):
            module.query_dim, module.cross_attention_dim = module.to_q.in_features, module.to_k.in_features
            module.inner_dim, module.inner_kv_dim = module.to_q.out_features, module.to_k.out_features
            module.out_dim = module.to_out[0].out_features
            width = module.inner_dim // module.heads
            if not width:
                raise StructureError(f"attention with {module.heads} heads has {module.inner_dim} channels")
            module.scale = width**-0.5
        elif isinstance(module, ResnetBlock2D):  # resamples its input without a convolution
            for resampler in filter(None, (module.upsample, module.downsample)):
                resampler.channels = resampler.out_channels = module.norm1.num_channels


def _skeleton(model: ModelConfig) -> UNet:
    """Build the dense U-Net without memory for its weights."""
    network, _ = _NETWORKS[model.network]
    known = sorted(inspect.signature(network).parameters)
    unknown = {key: value for key, value in model.unet.items() if key not in known}
    if unknown:
        raise SettingError("model.unet", unknown, f"{network.__name__} has no such option; it has {', '.join(known)}")
    size = model.unet.get("sample_size")
    if type(size) is not int or size < 1:
        raise SettingError("model.unet", {"sample_size": size}, "must be the side of the square images in pixels")
    try:
        with torch.device("meta"):
            return network(**model.unet)
    except Exception as error:  # whatever diffusers and torch raise for options that they cannot use
        raise _unusable(model, error) from error


def _unusable(model: ModelConfig, error: Exception) -> SettingError:
    network, needs = _NETWORKS[model.network]
    advice = f"{network.__name__} cannot be built and run with these ({error!r}); {needs}"
    return SettingError("model.unet", model.unet, advice)


def _dry_run(unet: UNet) -> None:
    """Compute shapes only, from an image to a noise prediction of the same shape, on a U-Net without memory."""
    shape = image_shape(unet)
    unet.eval()  # dropout would draw random numbers
    for module in unet.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.register_forward_pre_hook(_check_input)
    with torch.no_grad():
        sample = unet(torch.empty(1, *shape, device="meta"), torch.zeros(1, device="meta").long()).sample
    if sample.shape != (1, *shape):
        raise ValueError(f"makes {tuple(sample.shape[1:])} of an image of {shape}")


def _check_input(layer: nn.ConvTranspose2d, inputs: tuple[torch.Tensor]) -> None:
    """Check what torch checks for every other layer, but not for this one without memory."""
    if inputs[0].shape[1] != layer.in_channels:
        raise ValueError(f"{layer} gets {inputs[0].shape[1]} channels")


@lru_cache(maxsize=16)
def _check(model: str, structure: Structure) -> None:
    """Do `check_structure`, once for each pair: every message of a run has one of two structures."""
    unet = _resized(ModelConfig.model_validate_json(model), structure)
    try:
        _dry_run(unet)
    except Exception as error:  # whatever torch raises for layers that do not fit each other
        raise StructureError(f"structure {structure.id}: its layers do not fit each other ({error!r})") from error


def _resized(model: ModelConfig, structure: Structure) -> UNet:
    """Build the U-Net of a structure without memory for its weights; whether layers fit each other is not checked."""
    unet = _skeleton(model)
    dense = Structure.of(unet.state_dict())
    _check_names(dense, structure)
    for (name, shape), (_, largest) in zip(structure.tensors, dense.tensors, strict=True):
        _check_shape(name, shape, largest)
    shapes = structure.shapes
    for name, module in unet.named_modules():
        own = {key: shapes[f"{name}.{key}"] for key, _ in module.named_parameters(recurse=False)}
        if own:
            _resize(name, module, own)
    refresh_widths(unet)
    return unet


def _check_names(dense: Structure, structure: Structure) -> None:
    expected, given = list(dense.shapes), [name for name, _ in structure.tensors]
    if missing := sorted(set(expected) - set(given)):
        raise StructureError(f"structure {structure.id}: tensor {missing[0]} is missing")
    if unknown := sorted(set(given) - set(expected)):
        raise StructureError(f"structure {structure.id}: the configured U-Net has no tensor {unknown[0]}")
    if given != expected:
        raise StructureError(f"structure {structure.id}: its tensors are not in the U-Net's order, each once")


def _check_shape(name: str, shape: Shape, largest: Shape) -> None:
    if len(shape) != len(largest):
        raise StructureError(f"tensor {name}: shape {shape} has {len(shape)} dimensions, must have {len(largest)}")
    if not all(1 <= size <= bound for size, bound in zip(shape, largest, strict=True)):
        raise StructureError(f"tensor {name}: shape {shape} is not within 1 and the dense U-Net's {largest}")
    if shape[2:] != largest[2:]:
        raise StructureError(f"tensor {name}: kernel size {shape[2:]} must be {largest[2:]}")


def _resize(name: str, module: nn.Module, shapes: Mapping[str, Shape]) -> None:
    """Give one layer parameters of new shapes, and renew its own note of its widths."""
    weight = shapes["weight"]
    outputs = weight[1:2] if isinstance(module, nn.ConvTranspose2d) else weight[:1]
    if shapes.get("bias", outputs) != outputs:
        raise StructureError(f"tensor {name}.bias: shape {shapes['bias']} must be {outputs}, as its weight's outputs")
    if isinstance(module, nn.ConvTranspose2d):
        module.in_channels, module.out_channels = weight[:2]
    elif isinstance(module, nn.Conv2d) and module.groups > 1:  # depthwise, the only groups in our networks
        module.groups = module.in_channels = module.out_channels = weight[0]
    elif isinstance(module, nn.Conv2d):
        module.out_channels, module.in_channels = weight[:2]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight
    elif isinstance(module, nn.GroupNorm):
        if weight[0] % module.num_groups:
            raise StructureError(f"tensor {name}.weight: width {weight[0]} must be a multiple of {module.num_groups}")
        module.num_channels = weight[0]
    elif weight != tuple(module.get_parameter("weight").shape):
        raise StructureError(f"tensor {name}.weight: shape {weight}, but only layers with channels can be narrower")
    for key, shape in shapes.items():
        setattr(module, key, nn.Parameter(torch.empty(shape, device="meta")))

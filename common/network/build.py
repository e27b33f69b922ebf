"""Building a network from its options and a seed."""

from functools import lru_cache

import torch
from torch import nn

from fedphd.common.config import CLASS_EMBEDS, ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.adapted import AdaptedUNet
from fedphd.common.network.conditioning import apply
from fedphd.common.network.given import check_hash, read_given
from fedphd.common.network.networks import KEY, UNet, find_network, image_shape, note_options
from fedphd.common.network.packing import unpack
from fedphd.common.network.structure import Structure
from fedphd.common.training.seeding import derive_seed


def build_unet(model: ModelConfig, seed: int) -> UNet:
    """Build the dense U-Net, its initial weights drawn from the run's seed alone; `model.init` is not looked at.

    Where adapters are trained, only these are drawn, and the weights beside them are those of `model.init`.

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
    unet = skeleton(model)
    try:
        dry_run(unet)
    except Exception as error:  # whatever torch raises for layers that do not fit each other
        raise _unusable(model, error) from error
    with torch.random.fork_rng(devices=[]):
        if model.adapters.freezes:
            return adapted_unet(model, derive_seed(seed, "adapters"))
        torch.default_generator.manual_seed(derive_seed(seed, "unet"))
        return _made(model)


def adapted_unet(model: ModelConfig, seed: int = 0) -> AdaptedUNet:
    """Build the network of `model.init`, frozen, with new adapters.

    Parameters
    ----------
    model : ModelConfig
        The network, its adapters, and where on this machine its weights are.
    seed : int
        Of the adapters. Torch's global generator is left as it was.

    Raises
    ------
    SettingError
        If the weights are not here, do not fit the network, or are others than the run was started with.
    """
    structure = Structure.of(_dense(model).state_dict())
    given = read_given(str(model.init))
    weights = given.packed(structure)
    if weights.structure != structure:
        raise given.unusable("is narrower than the configured network; adapters need a dense one (adapters=none)")
    check_hash(given.path, weights, model.init_hash)
    with torch.random.fork_rng(devices=[]):
        unet = _made(model)
        unet.load_state_dict(unpack(weights))
        torch.default_generator.manual_seed(seed)
        return AdaptedUNet(unet, model.adapters)


def check_frozen(model: ModelConfig) -> None:
    """Check, once in a process, that the weights beside which adapters are trained are on this machine.

    Raises
    ------
    SettingError
        As `adapted_unet`.
    """
    if model.adapters.freezes:
        _check_frozen(model.model_dump_json())


def dense_structure(model: ModelConfig) -> Structure:
    """Structure of the dense network, or of its adapters where only these are trained; allocates nothing."""
    return Structure.of(skeleton(model).state_dict())


def pixel_shape(model: ModelConfig) -> tuple[int, int, int]:
    """Shape (C, H, W) of the images that a network draws: the autoencoder's, where it draws latents."""
    if model.autoencoder is not None:
        side = model.autoencoder.image_size
        return model.autoencoder.image_channels, side, side
    return image_shape(skeleton(model))


def skeleton(model: ModelConfig) -> UNet:
    """Build the dense network on the `meta` device, without memory for its weights, with its adapters if it has any.

    Raises
    ------
    SettingError
        If there is no such network, it has no such option, or it cannot be built with these; if the adapters do not
        fit it.
    """
    unet = _dense(model)
    if not model.adapters.freezes:
        return unet
    with torch.device("meta"):
        return AdaptedUNet(unet, model.adapters)


def dry_run(unet: UNet) -> None:
    """Compute shapes only, from an image to a noise prediction of the same shape, on a network without memory.

    Raises
    ------
    Exception
        Whatever torch raises for layers that do not fit each other.
    """
    shape = image_shape(unet)
    unet.eval()  # dropout would draw random numbers
    for module in unet.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.register_forward_pre_hook(_check_input)
    with torch.no_grad():
        sample = apply(unet, torch.empty(1, *shape, device="meta"), torch.zeros(1, device="meta").long())
    if sample.shape != (1, *shape):
        raise ValueError(f"makes {tuple(sample.shape[1:])} of an image of {shape}")


@lru_cache(maxsize=1)
def _check_frozen(model: str) -> None:
    adapted_unet(ModelConfig.model_validate_json(model))


def _dense(model: ModelConfig) -> UNet:
    _check_options(model)
    try:
        with torch.device("meta"):
            unet = _made(model)
    except Exception as error:  # whatever diffusers and torch raise for options that they cannot use
        raise _unusable(model, error) from error
    _check_weights(model, unet)
    return unet


def _made(model: ModelConfig) -> UNet:
    unet = find_network(model.network).build(**model.unet)
    note_options(unet, model.unet)
    return unet


def _check_options(model: ModelConfig) -> None:
    network = find_network(model.network)
    known = network.options
    if known and (unknown := {key: value for key, value in model.unet.items() if key not in known}):
        advice = f"{network.build.__name__} has no such option; it has {', '.join(known)}"
        raise SettingError("model.unet", unknown, advice)
    size = model.unet.get("sample_size")
    if type(size) is not int or size < 1:
        raise SettingError("model.unet", {"sample_size": size}, "must be the side of the square images in pixels")
    _check_classes(model, known)


def _check_classes(model: ModelConfig, known: list[str]) -> None:
    """Check that a network is told classes if it is to be, and that their number is known."""
    embeds = model.unet.get(CLASS_EMBEDS)
    if model.classes is None:
        if embeds is not None:
            raise SettingError(
                "model.unet", {CLASS_EMBEDS: embeds}, "is for model.classes=labels, which sets it; leave it out"
            )
        return
    if known and CLASS_EMBEDS not in known:
        advice = (
            f"{model.network} cannot be told classes: it has no option {CLASS_EMBEDS}; use null, or network: unet2d"
        )
        raise SettingError("model.classes", model.classes, advice)
    if type(embeds) is not int or embeds < 2:
        advice = f"needs model.unet.{CLASS_EMBEDS}, the number of classes and one, which fedphd reads from the images"
        raise SettingError("model.classes", model.classes, advice)


def _check_weights(model: ModelConfig, unet: UNet) -> None:
    """Check that what the network computes with can travel and be averaged."""
    if buffer := next((name for name, _ in unet.named_buffers()), None):
        raise SettingError(KEY, model.network, f"has the buffer {buffer}, which is no weight; use parameters only")
    names = [name for name, _ in unet.named_parameters()]
    if shared := set(unet.state_dict()).difference(names):
        advice = f"has the tensor {min(shared)}, which is another layer's weight too; each layer needs its own"
        raise SettingError(KEY, model.network, advice)


def _unusable(model: ModelConfig, error: Exception) -> SettingError:
    network = find_network(model.network)
    advice = f"{network.build.__name__} cannot be built and run with these ({error!r}); {network.needs}"
    return SettingError("model.unet", model.unet, advice)


def _check_input(layer: nn.ConvTranspose2d, inputs: tuple[torch.Tensor]) -> None:
    """Check what torch checks for every other layer, but not for this one without memory."""
    if inputs[0].shape[1] != layer.in_channels:
        raise ValueError(f"{layer} gets {inputs[0].shape[1]} channels")

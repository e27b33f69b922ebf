"""A frozen autoencoder, in whose latent space the U-Net works (Rombach et al. 2022, LDM, section 3.1)."""

import hashlib
import json
from functools import cached_property, lru_cache

import torch
from diffusers import VQModel
from torch import Tensor

from fedphd.common.config import AutoencoderConfig, ModelConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.pretrained import Network, load_autoencoder, unusable
from fedphd.common.training.compute import to_device

Shape = tuple[int, int, int]


class Autoencoder:
    """Maps images to latents and back; never trained.

    Parameters
    ----------
    config : AutoencoderConfig
        The `model.autoencoder` options.
    device : torch.device
        Where it computes, in float32; it stays in the CPU's memory until it is first used.

    Attributes
    ----------
    network : AutoencoderKL or VQModel
        Diffusers' network.
    image_shape, latent_shape : tuple[int, int, int]
        (C, H, W) of an image and of its latents.

    Raises
    ------
    SettingError
        If there is no such autoencoder, or it cannot be loaded or take images of the configured shape.
    """

    def __init__(self, config: AutoencoderConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.network = load_autoencoder(config)
        self.image_shape: Shape = (config.image_channels, config.image_size, config.image_size)
        self.latent_shape = self._latent_shape()

    @cached_property
    def identity(self) -> str:
        """SHA-256 of its options and weights, which decide with `scaling` what an image's latents are."""
        options = {name: value for name, value in self.network.config.items() if not name.startswith("_")}
        digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy())
        return digest.hexdigest()

    @property
    def scaling(self) -> float:
        """What latents are multiplied by: the autoencoder's own factor, unless the configuration has another."""
        return float(self.network.config.scaling_factor if self.config.scaling is None else self.config.scaling)

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Map images to x_0, the latents that the U-Net trains on.

        They are the mode of the posterior, so that an image has one latent which can be kept (ours: LDM
        draws from the posterior at each step), or what VQ has before it is quantised, as in LDM. They are
        shifted and scaled as diffusers does, about to unit variance.

        Parameters
        ----------
        pixels : Tensor
            uint8, shape (n, C, H, W); encoded `batch_size` at a time.

        Returns
        -------
        Tensor
            float32, of `latent_shape` for each image, on the CPU.
        """
        network = to_device(self.network, self.device)
        batches = [self._encode(network, batch).cpu() for batch in pixels.split(self.config.batch_size)]
        return torch.cat(batches).contiguous()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Map latents to images.

        Parameters
        ----------
        latents : Tensor
            Shape (n, c, h, w), as `encode` makes them; decoded `batch_size` at a time.

        Returns
        -------
        Tensor
            In [-1, 1], float32, shape (n, C, H, W), on the autoencoder's device.
        """
        network = to_device(self.network, self.device)
        unscaled = latents.to(self.device, torch.float32) / self.scaling + self.shift
        return torch.cat([network.decode(z).sample.clamp(-1, 1) for z in unscaled.split(self.config.batch_size)])

    def check_fits(self, model: ModelConfig) -> None:
        """Check that a U-Net takes these latents.

        Raises
        ------
        SettingError
            If the U-Net's `in_channels` and `sample_size` are not the latents' (c, h, w).
        """
        channels, side, _ = self.latent_shape
        expected = (model.unet.get("in_channels"), model.unet.get("sample_size"))
        if expected != (channels, side):
            raise unusable(
                self.config,
                f"makes {channels}x{side}x{side} (CxHxW) of an image, the U-Net expects in_channels={expected[0]} and "
                f"sample_size={expected[1]}; use another autoencoder, or model.unet.in_channels={channels}, "
                f"model.unet.out_channels={channels} and model.unet.sample_size={side}",
            )

    def _encode(self, network: Network, pixels: Tensor) -> Tensor:
        encoded = network.encode(pixels.to(self.device).float() / 127.5 - 1)
        z: Tensor = encoded.latents if isinstance(network, VQModel) else encoded.latent_dist.mode()
        return (z - self.shift) * self.scaling

    @property
    def shift(self) -> float:
        """What is subtracted from latents before they are scaled."""
        return float(self.network.config.get("shift_factor") or 0)

    def _latent_shape(self) -> Shape:
        options = self.network.config
        channels = options.latent_channels
        if isinstance(self.network, VQModel):
            channels = options.vq_embed_dim or channels
        if {options.in_channels, options.out_channels} != {self.config.image_channels}:
            advice = f"the autoencoder's images have {options.in_channels} channels; use that, or another autoencoder"
            raise SettingError("model.autoencoder.image_channels", self.config.image_channels, advice)
        factor = 2 ** (len(options.block_out_channels) - 1)  # each level but the last halves the image
        if self.config.image_size % factor:
            advice = f"must be a multiple of {factor}, by which the autoencoder divides it"
            raise SettingError("model.autoencoder.image_size", self.config.image_size, advice)
        side = self.config.image_size // factor
        return channels, side, side


def autoencoder_of(model: ModelConfig, device: torch.device) -> Autoencoder | None:
    """Give the autoencoder in whose latent space a U-Net works, loaded once per process; None where it has none.

    Raises
    ------
    SettingError
        If it cannot be loaded, or its latents do not fit the U-Net.
    """
    if model.autoencoder is None:
        return None
    autoencoder = _autoencoder(model.autoencoder, device)
    autoencoder.check_fits(model)
    return autoencoder


@lru_cache(maxsize=1)
def _autoencoder(config: AutoencoderConfig, device: torch.device) -> Autoencoder:
    return Autoencoder(config, device)

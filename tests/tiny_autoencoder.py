"""Autoencoders with random weights, small enough to be made in a test."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, VQModel

from fedphd.common.config import AutoencoderConfig

GREY = {"in_channels": 1, "out_channels": 1}
LATENT = (2, 4, 4)  # of an 8x8 image
UNET = ["model.unet.in_channels=2", "model.unet.out_channels=2", "model.unet.sample_size=4"]  # digits8 on latents


def save_autoencoder(folder: Path, kind: type = AutoencoderKL, seed: int = 0, **options: object) -> Path:
    """Save an autoencoder of grey images, whose latents have 2 channels and half their side."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind is VQModel:
            options = {"num_vq_embeddings": 16, **options}
        kind(
            **{
                **GREY,
                "latent_channels": 2,
                "block_out_channels": (8, 8),
                "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
                "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
                "norm_num_groups": 4,
                "scaling_factor": 0.5,
                **options,
            }
        ).save_pretrained(folder)
    return folder


def autoencoder_config(path: Path | str | None, **changes: object) -> AutoencoderConfig:
    """Configure an autoencoder of 8x8 grey images."""
    options = {"subfolder": None, "image_size": 8, "image_channels": 1, "scaling": None, "batch_size": 4}
    return AutoencoderConfig.model_validate({"path": None if path is None else str(path), **options, **changes})


def latent_overrides(path: Path, **changes: object) -> list[str]:
    """Give the Hydra overrides for digits8 in the autoencoder's latent space."""
    options = autoencoder_config(path, **changes).model_dump()
    text = ",".join(f"{key}:{'null' if value is None else value}" for key, value in options.items())
    return [*UNET, f"model.autoencoder={{{text}}}"]

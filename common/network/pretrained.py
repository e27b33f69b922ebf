"""Reading a pretrained autoencoder of diffusers from a folder or from the Hugging Face hub."""

from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, VQModel

from fedphd.common.config import AutoencoderConfig
from fedphd.common.errors import SettingError
from fedphd.common.network.hub import OPTIONS, Source, first_line

Network: TypeAlias = AutoencoderKL | VQModel

KEY = "model.autoencoder.path"
KINDS = {"AutoencoderKL": AutoencoderKL, "VQModel": VQModel}


def load_autoencoder(config: AutoencoderConfig) -> Network:
    """Load an autoencoder, frozen and in evaluation mode, float32, on the CPU.

    Only safetensors are read, no pickles. Of a hub's id, options and weights are fetched once, to the
    hub's cache; what is there already is taken as it is, also offline.

    Raises
    ------
    SettingError
        If there is none, or it cannot be fetched or used.
    """
    folder = _folder(config)
    try:
        kind = AutoencoderKL.load_config(folder).get("_class_name")
        if kind not in KINDS:
            raise unusable(config, f"is of class {kind}; must be an {' or a '.join(KINDS)} of diffusers")
        network, found = KINDS[kind].from_pretrained(
            folder,
            use_safetensors=True,  # no pickles
            dtype=torch.float32,
            low_cpu_mem_usage=False,  # would need accelerate
            output_loading_info=True,
            local_files_only=True,
        )
    except SettingError:
        raise
    except Exception as error:  # whatever diffusers, safetensors and torch raise for files that they cannot use
        raise unusable(config, f"cannot be loaded ({first_line(error)}); fetch {folder} again") from error
    # Diffusers only warns of these, and draws at random what is missing.
    if wrong := found["missing_keys"] or found["mismatched_keys"] or found["unexpected_keys"]:
        raise unusable(config, f"its {OPTIONS} and its weights do not belong together ({wrong[0]}); fetch both again")
    frozen: Network = network.eval().requires_grad_(False)
    return frozen


def unusable(config: AutoencoderConfig, advice: str) -> SettingError:
    """Make the error of an autoencoder that cannot be used."""
    return SettingError(KEY, config.path, advice)


def _folder(config: AutoencoderConfig) -> Path:
    """Find the folder with options and weights."""
    if config.path is None:
        advice = "give the autoencoder: a folder in diffusers' format, or an id of the Hugging Face hub"
        raise SettingError(KEY, None, f"{advice}; and its subfolder if it has one: model.autoencoder.subfolder=vae")
    elsewhere = "; the subfolder, if it is in one, goes into model.autoencoder.subfolder, as =vae"
    return Source(KEY, config.path, "autoencoder", config.subfolder, elsewhere).folder()

"""Reading a pretrained autoencoder of diffusers from a folder or from the Hugging Face hub."""

from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import AutoencoderKL, VQModel
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from fedphd.common.config import AutoencoderConfig
from fedphd.common.errors import SettingError

Network: TypeAlias = AutoencoderKL | VQModel

KEY = "model.autoencoder.path"
KINDS = {"AutoencoderKL": AutoencoderKL, "VQModel": VQModel}
OPTIONS, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


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
        raise unusable(config, f"cannot be loaded ({_first_line(error)}); fetch {folder} again") from error
    # Diffusers only warns of these, and draws at random what is missing.
    if wrong := found["missing_keys"] or found["mismatched_keys"] or found["unexpected_keys"]:
        raise unusable(config, f"its {OPTIONS} and its weights do not belong together ({wrong[0]}); fetch both again")
    frozen: Network = network.eval().requires_grad_(False)
    return frozen


def unusable(config: AutoencoderConfig, advice: str) -> SettingError:
    """Make the error of an autoencoder that cannot be used."""
    return SettingError(KEY, config.path, advice)


def _folder(config: AutoencoderConfig) -> Path:
    """Find the folder with options and weights: the user's own, or one of the hub's cache."""
    if config.path is None:
        advice = "give the autoencoder: a folder in diffusers' format, or an id of the Hugging Face hub"
        raise SettingError(KEY, None, f"{advice}; and its subfolder if it has one: model.autoencoder.subfolder=vae")
    path = Path(config.path).expanduser()
    if not path.is_dir():
        if path.exists() or config.path.startswith(("/", "~", ".")):
            raise unusable(config, "is no folder; give one in diffusers' format, or an id of the Hugging Face hub")
        return _from_hub(config, config.path)
    folder = path / (config.subfolder or "")
    for file in (OPTIONS, WEIGHTS):
        if not (folder / file).is_file():
            raise unusable(
                config,
                f"there is no {file} in {folder}; give a folder with both {OPTIONS} and {WEIGHTS}, whose own "
                "subfolder, if it has one, goes into model.autoencoder.subfolder",
            )
    return folder


def _from_hub(config: AutoencoderConfig, id: str) -> Path:
    try:
        for file in (OPTIONS, WEIGHTS):
            try:
                fetched = hf_hub_download(id, file, subfolder=config.subfolder, local_files_only=True)
            except LocalEntryNotFoundError:
                fetched = hf_hub_download(id, file, subfolder=config.subfolder)
    except HFValidationError:
        raise unusable(config, "is neither a folder nor an id of the Hugging Face hub (owner/name)") from None
    except RepositoryNotFoundError:
        advice = (
            "is no folder, and the Hugging Face hub does not show such an autoencoder; if it is private: hf auth login"
        )
        raise unusable(config, advice) from None
    except LocalEntryNotFoundError:
        advice = (
            "is no folder, and the Hugging Face hub cannot be reached; bring the autoencoder here and give its folder"
        )
        raise unusable(config, advice) from None
    except EntryNotFoundError:
        advice = (
            f"has no {file} on the Hugging Face hub; does it have one in a subfolder? model.autoencoder.subfolder=vae"
        )
        raise unusable(config, advice) from None
    except (HfHubHTTPError, OSError) as error:
        raise unusable(config, f"cannot be fetched from the Hugging Face hub ({_first_line(error)})") from error
    return Path(fetched).parent


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).split("\n")[0]

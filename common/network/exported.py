"""What an export holds besides the files of diffusers: the options that it was trained with, and what plain files lack.

An export is a pipeline's folder. Its `FACTS` has the sections `model`, `diffusion` and `sampler` of its run's
configuration. Where its U-Net is not the trained one tensor by tensor, but one that plain diffusers can build and that
predicts the same, `REST` has the trained tensors that differ.
"""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from fedphd.common.network.hub import WEIGHTS

FACTS, REST = "fedphd.json", "fedphd.safetensors"
UNET, VAE, SCHEDULER = "unet", "vae", "scheduler"  # subfolders
TABLE = "time_proj.weight"  # what only the plain U-Net has


def exported_facts(folder: Path) -> dict[str, Any] | None:
    """Read an export's `FACTS`; None if the folder is no export.

    Raises
    ------
    ValueError
        If they are not what an export writes.
    """
    file = folder / FACTS
    if not file.is_file():
        return None
    facts = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(facts, dict) or not all(isinstance(facts.get(key), dict) for key in ("model", "diffusion")):
        raise ValueError(f"{FACTS} lacks its sections model and diffusion")
    return facts


def exported_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights that an export's run has trained, by their names in the network of its `model` section.

    Raises
    ------
    Exception
        Whatever safetensors raises for files that are missing or damaged.
    """
    weights = dict(load_file(folder / UNET / WEIGHTS))
    if TABLE in weights and (folder / REST).is_file():  # else it was left there by another export
        weights |= load_file(folder / REST)
        weights.pop(TABLE, None)
    return weights

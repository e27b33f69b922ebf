"""A network rebuilt from its options and a structure.

A pruned U-Net is the dense one with narrower layers. Its tensors' shapes say all about it, so
whoever has the options and the shapes can rebuild it: no pickle, no replay of the pruning.
"""

from functools import lru_cache

import torch

from fedphd.common.config import ModelConfig
from fedphd.common.network.build import adapted_unet, dense_structure, dry_run, skeleton
from fedphd.common.network.networks import UNet
from fedphd.common.network.structure import Shape, Structure, StructureError
from fedphd.common.network.widths import WidthError, set_widths


def rebuild_unet(model: ModelConfig, structure: Structure) -> UNet:
    """Build the U-Net of a structure, to be filled by `load_state_dict`.

    Parameters
    ----------
    model : ModelConfig
        The options of the dense U-Net.
    structure : Structure
        The dense U-Net's or a pruned one's; or that of its adapters, where only these are trained.

    Returns
    -------
    UNet
        In training mode, on the CPU, all weights zero, but for those that adapters leave as `model.init` gives them.

    Raises
    ------
    StructureError
        If the configured U-Net cannot have this structure, as `check_structure` says.
    SettingError
        If the network cannot be built with the options, or `model.init` is not here as adapters need it.
    """
    check_structure(model, structure)
    unet = adapted_unet(model) if model.adapters.freezes else _resized(model, structure).to_empty(device="cpu")
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


@lru_cache(maxsize=16)
def _check(model: str, structure: Structure) -> None:
    """Do `check_structure`, once for each pair: every message of a run has one of two structures."""
    unet = _resized(ModelConfig.model_validate_json(model), structure)
    try:
        dry_run(unet)
    except Exception as error:  # whatever torch raises for layers that do not fit each other
        raise StructureError(f"structure {structure.id}: its layers do not fit each other ({error!r})") from error


def _resized(model: ModelConfig, structure: Structure) -> UNet:
    """Build the U-Net of a structure without memory for its weights; whether layers fit each other is not checked."""
    unet = skeleton(model)
    dense = Structure.of(unet.state_dict())
    _check_names(dense, structure)
    if model.adapters.freezes:
        _check_adapters(dense, structure)
        return unet
    for (name, shape), (_, largest) in zip(structure.tensors, dense.tensors, strict=True):
        _check_shape(name, shape, largest)
    try:
        set_widths(unet, structure.shapes)
    except WidthError as error:
        raise StructureError(str(error)) from error
    return unet


def _check_names(dense: Structure, structure: Structure) -> None:
    expected, given = list(dense.shapes), [name for name, _ in structure.tensors]
    if missing := sorted(set(expected) - set(given)):
        raise StructureError(f"structure {structure.id}: tensor {missing[0]} is missing")
    if unknown := sorted(set(given) - set(expected)):
        raise StructureError(f"structure {structure.id}: the configured U-Net has no tensor {unknown[0]}")
    if given != expected:
        raise StructureError(f"structure {structure.id}: its tensors are not in the U-Net's order, each once")


def _check_adapters(dense: Structure, structure: Structure) -> None:
    for (name, shape), (_, expected) in zip(structure.tensors, dense.tensors, strict=True):
        if shape != expected:
            raise StructureError(f"tensor {name}: shape {shape} must be {expected}, as the configured adapters'")


def _check_shape(name: str, shape: Shape, largest: Shape) -> None:
    if len(shape) != len(largest):
        raise StructureError(f"tensor {name}: shape {shape} has {len(shape)} dimensions, must have {len(largest)}")
    if not all(1 <= size <= bound for size, bound in zip(shape, largest, strict=True)):
        raise StructureError(f"tensor {name}: shape {shape} is not within 1 and the dense U-Net's {largest}")
    if shape[2:] != largest[2:]:
        raise StructureError(f"tensor {name}: kernel size {shape[2:]} must be {largest[2:]}")

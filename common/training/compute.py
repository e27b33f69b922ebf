"""Where and how tensors are computed: device, precision, memory layout."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch

from fedphd.common.config import Config
from fedphd.common.errors import SettingError

Module = TypeVar("Module", bound=torch.nn.Module)


def pick_device(config: Config) -> torch.device:
    """Choose the device for `runtime.device`: "cpu", "cuda", or "auto" for a GPU where there is one.

    Parameters
    ----------
    config : Config
        `training.precision` decides how this process computes with float32 numbers on a GPU.

    Raises
    ------
    SettingError
        If "cuda" is asked for and there is none.
    """
    name = config.runtime.device
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("runtime.device", name, "this process sees no GPU; use runtime.device=cpu or auto")
    device = torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        compute_float32_as(config.training.precision)
    else:
        # One thread per training process: small U-Nets gain nothing from a second one, several
        # processes share the cores, and sums over one thread come out the same everywhere.
        torch.set_num_threads(1)
    return device


def compute_float32_as(precision: str) -> None:
    """Say how a GPU multiplies float32 numbers, in what autocast leaves in float32.

    With "float32" as PyTorch does by default, and so as FedPhD's and FedDiffuse's code: matrices in float32,
    convolutions in TF32. Otherwise both in TF32, which is faster and still finer than bfloat16.
    """
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = True


def to_device(module: Module, device: torch.device) -> Module:
    """Move a module, on a GPU to channels-last layout, which its convolutions prefer."""
    if device.type == "cuda":
        return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return module.to(device)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Compute in bfloat16 where `precision` asks for it: "auto" does on a GPU only.

    On CPUs without bfloat16 units, autocast makes training more than twice as slow.
    """
    if precision == "bfloat16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute on so many CPU threads; on one, sums do not depend on the number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

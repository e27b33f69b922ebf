"""A U-Net's single step as an ONNX model: from noisy images, times, and classes if it is told any, to a prediction."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.network import UNet
from fedphd.common.network.conditioning import inputs, number_of_classes
from fedphd.common.network.networks import image_shape

TOLERANCE = 1e-3  # of the largest number that the U-Net predicts
NAMES = ("sample", "timestep", "class_labels")
TRIED = (1, 3)  # images at once


class _Step(nn.Module):
    """Gives the prediction alone, as a tensor."""

    def __init__(self, unet: UNet) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, *given: Tensor) -> Tensor:
        prediction: Tensor = self.unet(*given).sample
        return prediction


def check_onnx() -> None:
    """Check that what writes and runs ONNX models is installed.

    Raises
    ------
    SettingError
        If it is not.
    """
    try:
        import onnxruntime  # noqa: F401, PLC0415  (an extra)
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        advice = f"needs the library {error.name}; install the extra: pip install 'fedphd[onnx]'"
        raise SettingError("--onnx", True, advice) from None


def write_onnx(unet: UNet, timesteps: int, file: Path) -> None:
    """Write a U-Net's step, and check that ONNX Runtime predicts with it as torch does.

    Parameters
    ----------
    unet : UNet
        On the CPU, in evaluation mode.
    timesteps : int
        T of its diffusion.
    file : Path
        Takes the model; its inputs are `NAMES`, all with the batch first, its output is `prediction`.

    Raises
    ------
    FedPhDError
        If it cannot be exported, or predicts something else.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    step = _Step(unet).eval()
    try:
        _export(step, _tried(unet, timesteps, max(TRIED)), file)
    except Exception as error:  # whatever torch and onnxscript raise for what they cannot translate
        cause = (str(error) or repr(error)).strip().splitlines()[0]
        raise FedPhDError(f"--onnx: the U-Net cannot be exported ({cause}); leave --onnx out") from error
    for count in TRIED:
        _compare(step, _tried(unet, timesteps, count), file)


def _export(step: nn.Module, given: Sequence[Tensor], file: Path) -> None:
    names = NAMES[: len(given)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            step,
            tuple(given),
            file,
            input_names=list(names),
            output_names=["prediction"],
            dynamo=True,
            dynamic_shapes=(tuple({0: Dim.AUTO} for _ in given),),
            external_data=False,
            verbose=False,
        )


def _compare(step: nn.Module, given: Sequence[Tensor], file: Path) -> None:
    import onnxruntime  # noqa: PLC0415  (an extra)

    with torch.no_grad():
        expected = step(*given).numpy()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: one.numpy() for name, one in zip(NAMES, given, strict=False)})
    difference = float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        text = f"predicts something else than the U-Net: they differ by {difference:.1g} of the largest number"
        raise FedPhDError(f"--onnx: the exported model {text}; leave --onnx out")


def _tried(unet: UNet, timesteps: int, count: int) -> tuple[Tensor, ...]:
    """Make inputs to try the U-Net with."""
    noise = torch.randn((count, *image_shape(unet)), generator=torch.Generator().manual_seed(count))
    times = torch.linspace(timesteps - 1, timesteps // 10, count).long()
    classes = number_of_classes(unet)
    return inputs(unet, noise, times, None if classes is None else torch.arange(count) % classes)

"""How far a prediction is from its target, by default the noise: what `objective.loss` names."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fedphd.common.choices import find_named
from fedphd.common.errors import SettingError

KEY = "objective.loss"

Distance = Callable[[Tensor, Tensor], Tensor]  # of a prediction and its target, both (B, C, H, W): a scalar

DISTANCES: dict[str, Distance] = {"mse": F.mse_loss, "huber": F.smooth_l1_loss}


def find_distance(loss: str) -> Distance:
    """Find a distance by its name, or a user's own function by its import path ``package.module:function``.

    Raises
    ------
    SettingError
        If there is no such distance.
    """
    found: Distance = find_named(KEY, loss, DISTANCES, "distance", "package.module:function")
    if not callable(found):
        raise SettingError(KEY, loss, "must be a function of the prediction and its target that gives a scalar")
    return found


def each_distance(distance: Distance, prediction: Tensor, target: Tensor) -> Tensor:
    """Take the distance of each image alone, as of a batch of one.

    Parameters
    ----------
    distance : Distance
        A user's own must be one that `torch.vmap` can take: no noise, and nothing that asks for a tensor's values.
    prediction, target : Tensor
        Shape (B, C, H, W).

    Returns
    -------
    Tensor
        Shape (B,).
    """
    each: Tensor = torch.vmap(distance)(prediction.unsqueeze(1), target.unsqueeze(1))
    return each


def check_each(loss: str) -> None:
    """Check that a distance can be taken of each image alone, as `diffusion.min_snr` needs.

    Raises
    ------
    SettingError
        If it cannot, or there is no such distance.
    """
    images = torch.zeros(2, 1, 2, 2)
    try:
        fits = each_distance(find_distance(loss), images, images).shape == (2,)
    except (RuntimeError, ValueError, TypeError):  # what torch.vmap says of what it cannot take
        fits = False
    if not fits:
        advice = (
            "cannot be taken of each image by torch.vmap, as diffusion.min_snr needs; use mse, huber, or min_snr=null"
        )
        raise SettingError(KEY, loss, advice)

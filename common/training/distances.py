"""How far a prediction is from the noise: what `objective.loss` names."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from fedphd.common.choices import import_object, no_such
from fedphd.common.errors import SettingError

KEY = "objective.loss"

Distance = Callable[[Tensor, Tensor], Tensor]  # of a prediction and the noise, both (B, C, H, W): a scalar

DISTANCES: dict[str, Distance] = {"mse": F.mse_loss, "huber": F.smooth_l1_loss}


def find_distance(loss: str) -> Distance:
    """Find a distance by its name, or a user's own function by its import path ``package.module:function``.

    Raises
    ------
    SettingError
        If there is no such distance.
    """
    if loss in DISTANCES:
        return DISTANCES[loss]
    if ":" not in loss:
        raise SettingError(KEY, loss, no_such("distance", loss, DISTANCES, "package.module:function"))
    found: Distance = import_object(KEY, loss)
    if not callable(found):
        raise SettingError(KEY, loss, "must be a function of the prediction and the noise that gives a scalar")
    return found

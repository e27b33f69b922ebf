"""A data set of which a share is held out, where nobody else has split it."""

from typing import Annotated

import numpy as np
from pydantic import Field

from fedphd.common.data.data_set import DataSet, WhichImages
from fedphd.common.data.images import Indices, Split
from fedphd.common.errors import SettingError
from fedphd.common.training.seeding import numpy_rng


class HeldOutShare(DataSet):
    """Images of which a random share can be held out.

    Attributes
    ----------
    holdout : float
        Share of the images to hold out.
    """

    holdout: WhichImages[Annotated[float, Field(ge=0, lt=1)]] = 0.0

    def share(self, available: int, split: Split, seed: int) -> Indices:
        """Draw which of so many images are held out, and give those of the split, in file order.

        Raises
        ------
        SettingError
            If `holdout` leaves no image for the split.
        """
        held_out = round(available * self.holdout)
        if split == "train" and held_out == available:
            advice = f"leaves no image to train on of {available}; use a smaller share"
            raise SettingError("data.holdout", self.holdout, advice)
        if split == "holdout" and held_out == 0:
            raise SettingError("data.holdout", self.holdout, f"holds out no image of {available}; use a larger share")
        order = numpy_rng(seed, "data", "holdout").permutation(available)
        return np.sort(order[held_out:] if split == "train" else order[:held_out])

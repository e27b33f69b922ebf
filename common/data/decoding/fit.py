"""Bringing images of any size to one square: the shorter side is resized, then the middle is cut out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 16  # times its width: of a longer image the middle is cut out first, or it would become huge


class Fit:
    """Resizes images to squares.

    Parameters
    ----------
    side : int
        Pixels of a side.
    crop : int or None
        Pixels of the middle that is cut out before; None: nothing is.
    """

    def __init__(self, side: int, crop: int | None) -> None:
        from torchvision.transforms import CenterCrop, Compose, Resize  # noqa: PLC0415  (imports torch)

        self.side, self.crop = side, crop
        first = [] if crop is None else [CenterCrop(crop)]
        self._fit = Compose([*first, Resize(side), CenterCrop(side)])

    def __call__(self, image: Image) -> Any:
        """Resize a loaded image."""
        return self._fit(self._shortened(image) if self.crop is None else image)

    @property
    def draft(self) -> int | None:
        """Pixels of the shorter side that are enough to decode; None: all are needed."""
        return self.side if self.crop is None else None

    @staticmethod
    def _shortened(image: Image) -> Image:
        width, height = image.size
        most = LONGEST * min(width, height)
        if max(width, height) <= most:
            return image
        left, top = max(0, width - most) // 2, max(0, height - most) // 2
        return image.crop((left, top, width - left, height - top))

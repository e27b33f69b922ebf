"""Images as a U-Net trains on them: pixels, or latents of an autoencoder."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrainingSet:
    """Images on one device.

    Attributes
    ----------
    images : Tensor
        Shape (N, C, H, W): uint8 pixels, or float32 latents, which are x_0 as they are.
    mirrored : Tensor or None
        Latents of the mirrored images, shape (N, C, H, W); pixels are mirrored when they are used.
    """

    images: Tensor
    mirrored: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> "TrainingSet":
        """Move to a device."""
        return TrainingSet(self.images.to(device), None if self.mirrored is None else self.mirrored.to(device))

    def batch(self, indices: Tensor, flip: bool) -> Tensor:
        """Give x_0 of the images at `indices`, shape (B, C, H, W): pixels in [-1, 1], or latents.

        Parameters
        ----------
        indices : Tensor
            Shape (B,), on the set's device.
        flip : bool
            Mirror each image with probability 1/2, by torch's global generator. Latents need `mirrored`.
        """
        images = self.images[indices]
        x_0 = images.float() / 127.5 - 1 if images.dtype == torch.uint8 else images
        if not flip:
            return x_0
        mirrored = x_0.flip(-1) if self.mirrored is None else self.mirrored[indices]
        return torch.where(torch.rand(len(x_0), 1, 1, 1, device=x_0.device) < 0.5, mirrored, x_0)

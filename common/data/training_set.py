"""Images as a U-Net trains on them: pixels, or latents of an autoencoder."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fedphd.common.network.conditioning import NO_CLASS


@dataclass(frozen=True)
class Batch:
    """Images that a network is trained on together.

    Attributes
    ----------
    x_0 : Tensor
        Pixels in [-1, 1], or latents, shape (B, C, H, W).
    labels : Tensor or None
        What the network is told of each, a class number or `NO_CLASS`, shape (B,); None: nothing.
    """

    x_0: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x_0)


@dataclass(frozen=True)
class TrainingSet:
    """Images on one device.

    Attributes
    ----------
    images : Tensor
        Shape (N, C, H, W): uint8 pixels, or float32 latents, which are x_0 as they are.
    mirrored : Tensor or None
        Latents of the mirrored images, shape (N, C, H, W); pixels are mirrored when they are used.
    labels : Tensor or None
        Class number of each image, shape (N,), int64; None where the U-Net is told none.
    """

    images: Tensor
    mirrored: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> "TrainingSet":
        """Move to a device."""
        mirrored, labels = (None if one is None else one.to(device) for one in (self.mirrored, self.labels))
        return TrainingSet(self.images.to(device), mirrored, labels)

    def labelled(self, indices: Tensor, flip: bool, dropout: float) -> Batch:
        """Give x_0 of the images at `indices` and what the network is told of them.

        Parameters
        ----------
        indices, flip
            As for `batch`.
        dropout : float
            p_uncond, with which each label is replaced by "no class", so that the network learns to do without
            (Ho and Salimans 2022, algorithm 1). Drawn by torch's global generator, after the mirroring.
        """
        x_0 = self.batch(indices, flip)
        if self.labels is None:
            return Batch(x_0)
        labels = self.labels[indices]
        return Batch(x_0, torch.where(torch.rand(len(labels), device=labels.device) < dropout, NO_CLASS, labels))

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

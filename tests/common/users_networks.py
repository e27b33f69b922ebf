"""Networks as a user may write them: plain modules of torch, which know nothing of diffusers."""

from types import SimpleNamespace

import torch
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor, nn


class Plain(nn.Module):
    """Two convolutions, a scale that is a weight of no layer, and the time as a bias."""

    def __init__(self, sample_size: int, in_channels: int = 1, width: int = 8) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.conv_in = nn.Conv2d(in_channels, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, in_channels, 3, padding=1)

    def forward(self, sample: Tensor, timestep: Tensor | float) -> SimpleNamespace:
        t = torch.as_tensor(timestep, device=sample.device).expand(len(sample)) / 1000
        h = torch.relu(self.conv_in(sample)) * self.scale[:, None, None] + t[:, None, None, None]
        return SimpleNamespace(sample=self.conv_out(h))


class Normed(Plain):
    """Counts what it sees, which is no weight."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.norm = nn.BatchNorm2d(8)


class Tied(Plain):
    """Uses one weight twice."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.conv_again = self.conv_out


class Doubling(Plain):
    """Predicts noise of another shape."""

    needs = "the moon must be full"

    def forward(self, sample: Tensor, timestep: Tensor | float) -> SimpleNamespace:
        return SimpleNamespace(sample=sample.repeat(1, 2, 1, 1))


class Prunable(nn.Module):
    """Says that it can be pruned."""

    prunable = True

    def __init__(self, sample_size: int, in_channels: int = 1) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.conv_out = nn.Conv2d(8, in_channels, 3, padding=1)

    def forward(self, sample: Tensor, timestep: Tensor | float) -> UNet2DOutput:
        return UNet2DOutput(sample=self.conv_out(torch.relu(self.norm(self.conv_in(sample)))))

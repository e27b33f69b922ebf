"""The networks that can predict the noise. `UNet` is any of them; their top-level names are those of diffusers."""

from diffusers import UNet2DModel

from fedphd.common.network.convnext import ConvNextUNet

UNet = UNet2DModel | ConvNextUNet

__all__ = ["ConvNextUNet", "UNet"]

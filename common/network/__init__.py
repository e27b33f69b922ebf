"""The networks that predict the noise, and what is done to them.

A new network is a class with a registration, and a file in `conf/model/`; `networks` says what it must fulfil, and
registers ours.
"""

from fedphd.common.network.convnext import ConvNextUNet
from fedphd.common.network.networks import UNet

__all__ = ["ConvNextUNet", "UNet"]

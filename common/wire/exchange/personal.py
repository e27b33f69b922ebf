"""Clients keep an encoder of their own, perhaps a bottleneck too."""

from typing import ClassVar

from fedphd.common.wire.exchange.base import EXCHANGES, Exchange
from fedphd.common.wire.parts import BOTTLENECK, DECODER, Parts


@EXCHANGES.register("ulatdec")
class ULatDec(Exchange):
    """Bottleneck and decoder travel (FedDiffuse ULATDEC)."""

    shared: ClassVar[Parts] = (BOTTLENECK, DECODER)


@EXCHANGES.register("udec")
class UDec(Exchange):
    """Only the decoder travels (FedDiffuse UDEC)."""

    shared: ClassVar[Parts] = (DECODER,)

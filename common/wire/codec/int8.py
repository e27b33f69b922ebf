"""One code in a byte."""

from typing import ClassVar

import numpy as np

from fedphd.common.wire.codec.base import CODECS, Payload
from fedphd.common.wire.codec.integers import Codes, IntegerCodec


@CODECS.register("int8")
class Int8(IntegerCodec):
    """One code in a byte."""

    bits: ClassVar[int] = 8

    @classmethod
    def room(cls, packed: Payload) -> Codes:
        """Write in place."""
        return packed.view(np.int8)

    @classmethod
    def pack(cls, codes: Codes, packed: Payload) -> None:
        """Have nothing to do: the codes were written in place."""

    @classmethod
    def unpack(cls, packed: Payload) -> Codes:
        """Read in place."""
        return packed.view(np.int8)

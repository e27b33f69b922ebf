"""Two codes in a byte."""

from typing import ClassVar

import numpy as np

from fedphd.common.wire.codec.base import CODECS, Payload
from fedphd.common.wire.codec.integers import Codes, IntegerCodec


@CODECS.register("int4")
class Int4(IntegerCodec):
    """Two codes in a byte; for changes only, since weights of 4 bits ruin the images."""

    bits: ClassVar[int] = 4

    @property
    def weights_as(self) -> str:
        """Eight bits."""
        return "int8"

    @classmethod
    def room(cls, packed: Payload) -> Codes:
        """Make room for a code in each half of a byte."""
        return np.zeros(2 * len(packed), np.int8)

    @classmethod
    def pack(cls, codes: Codes, packed: Payload) -> None:
        """Pack an even number of codes, two in a byte."""
        pairs = codes.view("<u2")
        packed[...] = ((pairs & 0x0F) | ((pairs >> 4) & 0xF0)).astype(np.uint8)

    @classmethod
    def unpack(cls, packed: Payload) -> Codes:
        """Unpack two codes from each byte, shifting their signs in."""
        codes = np.empty((len(packed), 2), np.int8)
        np.right_shift((packed << 4).view(np.int8), 4, out=codes[:, 0])
        np.right_shift(packed.view(np.int8), 4, out=codes[:, 1])
        return codes.reshape(-1)

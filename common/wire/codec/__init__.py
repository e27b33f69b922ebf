"""How a model's tensors travel: as float32, halves, or integers with a scale per channel; as they are, or as a change.

The wire format, fully determined by the sent tensors' structure and the kind. All numbers are little-endian, all
tensors in the structure's order, and a tensor's numbers in C order.

float32, float16, bfloat16
    All numbers, 4 or 2 bytes each.
int8, int4
    Three sections, one after another, without gaps:

    1. the scales, float32: one per output channel (first dimension) of each *quantised* tensor, which is every one
       whose channels have more than one number;
    2. the numbers of all other tensors (biases, norms; few), float32;
    3. the codes of the quantised tensors. int8: one byte each. int4: two in a byte, the first in the low four bits,
       both in two's complement; the unused high half of an odd last byte is 0. Channels and tensors follow each
       other without padding. A number is its code times its channel's scale. Codes are symmetric, -127 to 127 and
       -7 to 7: -128 and -8 are invalid.

With zstd, the bytes are one zstd frame that names its content's size, with nothing after it.

FedDM-quant (Vora et al.) says in its public text neither how many bits it takes nor what shares a scale: all of this
is our choice. An offset per channel beside the scale would cost as much again, for codes that compress worse.

A codec is a class of `CODECS` in a file of its own; a new one is imported here, so that it is registered. The
configuration holds them, so this package imports no torch: whole models are coded by coded.py.
"""

from fedphd.common.wire.codec.base import CODECS, Codec, coded_bytes
from fedphd.common.wire.codec.bfloat16 import BFloat16
from fedphd.common.wire.codec.errors import CodecError
from fedphd.common.wire.codec.float16 import Float16
from fedphd.common.wire.codec.float32 import Float32
from fedphd.common.wire.codec.int4 import Int4
from fedphd.common.wire.codec.int8 import Int8
from fedphd.common.wire.codec.stype import read_stype

__all__ = [
    "CODECS",
    "BFloat16",
    "Codec",
    "CodecError",
    "Float16",
    "Float32",
    "Int4",
    "Int8",
    "coded_bytes",
    "read_stype",
]

"""zstd, with the size of what comes out known beforehand."""

import zstandard

from fedphd.common.wire.codec.base import Payload
from fedphd.common.wire.codec.errors import CodecError


def compress(payload: Payload, level: int) -> bytes:
    """Compress into one frame that names its content's size; in one thread, so always to the same bytes."""
    return zstandard.ZstdCompressor(level=level).compress(payload.data)


def decompress(data: bytes, size: int) -> bytes:
    """Decompress to exactly `size` bytes, for which alone room is made.

    Raises
    ------
    CodecError
        If the data are not one sound frame of that size.
    """
    try:
        # Looked at first: the decompressor makes room for what the frame says, whatever bound it is given.
        told = zstandard.get_frame_parameters(data).content_size
        if told != size:
            raise CodecError(f"zstd frame is said to hold {told} bytes instead of {size}")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:  # a structure from others may be of any size
        raise CodecError(f"zstd data cannot be decompressed: {error!r}") from None

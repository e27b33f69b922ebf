"""Files as users have them, made for tests."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedphd.common.data import DATA_SETS, DataSet
from fedphd.common.data.folder_images import FolderImages


def folder(path: Path, **options: object) -> DataSet:
    return DATA_SETS.read({"kind": "folder", "path": path, "size": 8, **options})


def read(path: Path, **options: object) -> FolderImages:
    images = folder(path, **options).read("train", 0)
    assert isinstance(images, FolderImages)
    return images


def write(
    path: Path, *, mode: str = "RGB", size: tuple[int, int] = (8, 8), level: int = 100, **options: object
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).convert(mode).save(path, **options)
    return path


def ramp(highest: int, side: int = 32) -> NDArray[np.uint16]:
    """Rise evenly from 0 at the left to the highest value at the right."""
    return np.tile(np.linspace(0, highest, side).round().astype(np.uint16), (side, 1))


def png16(path: Path, values: NDArray[np.uint16]) -> Path:
    """Write a PNG of 16 bits a channel, (H, W) or (H, W, C), which Pillow cannot write in colour."""
    whole = values[..., None] if values.ndim == 2 else values
    height, width, channels = whole.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in whole)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


def tiff16(path: Path, values: NDArray[np.uint16], order: str) -> Path:
    """Write a TIFF of 16 bits a colour, (H, W, 3), in little (<) or big (>) endian order."""
    height, width, channels = values.shape
    content = values.astype(f"{order}u2").tobytes()
    entries = [
        *((256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 8 + len(content)), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(content))),
    ]
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    table = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        table += struct.pack(f"{order}HHI", tag, kind, count)
        table += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(content) + len(bits))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + content + bits + table + struct.pack(f"{order}I", 0))
    return path

"""One file of the cache: the decoded images of one set, as they were when they were decoded."""

import json
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from fedphd.common.data.images import Pixels
from fedphd.common.keeping.private_files import private_file

SUFFIX = ".pixels"
BLOCK = 1 << 22  # bytes that are read at once


@dataclass(frozen=True)
class Entry:
    """A file of pixels (N, C, H, W), uint8, and behind them a seal of one line, by which damage is noticed.

    Attributes
    ----------
    folder : Path
        Where it lies.
    name : str
        Of the set, the same whatever its images are.
    key : str
        Of the images as they are now: with another key it is another file.
    shape : tuple[int, int, int, int]
        (N, C, H, W).
    """

    folder: Path
    name: str
    key: str
    shape: tuple[int, int, int, int]

    @property
    def file(self) -> Path:
        """The file; it need not be there."""
        return self.folder / f"{self.name}-{self.key}{SUFFIX}"

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return prod(self.shape)

    def open(self) -> Pixels | None:
        """Map the file; None if it is not there, or not as it was written.

        All of it is read once, so that damage is not trained on. The array can be written to, which changes nothing
        but this process's own copy.
        """
        try:
            with self.file.open("rb") as opened:
                checksum, left = 0, self.size
                while left and (block := opened.read(min(BLOCK, left))):
                    checksum, left = zlib.crc32(block, checksum), left - len(block)
                if left or opened.read(BLOCK) != self._seal(checksum):
                    return None
                pixels = np.memmap(opened, np.uint8, "c", shape=self.shape)
        except FileNotFoundError:
            return None
        with suppress(OSError):  # a disk that can only be read
            os.utime(self.file)  # when it was used last
        return pixels.view(np.ndarray)

    def write(self, blocks: Iterable[Pixels]) -> None:
        """Write the pixels, block by block: whole or not at all, for the owner only.

        Raises
        ------
        OSError
            If they cannot be written.
        """
        checksum = 0
        with private_file(self.file) as file:
            for block in blocks:
                checksum = zlib.crc32(block.data, checksum)
                file.write(block.data)
            file.write(self._seal(checksum))

    def _seal(self, checksum: int) -> bytes:
        return json.dumps({"key": self.key, "shape": self.shape, "crc32": checksum}).encode()

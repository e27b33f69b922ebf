"""How far an edge is with an order of the root's, in a file: an edge that is started again goes on from there."""

from dataclasses import dataclass
from pathlib import Path

from flwr.app import RecordDict

from fedphd.common.wire.content_file import ContentFileError, read_content, write_content


@dataclass(frozen=True)
class EdgeProgress:
    """A file for the part of an order that is done."""

    file: Path

    def load(self) -> RecordDict | None:
        """Read what was saved; None if there is nothing, or it cannot be read."""
        try:
            return read_content(self.file)[0]
        except ContentFileError:
            return None

    def save(self, content: RecordDict) -> None:
        """Replace what was saved."""
        write_content(self.file, content)

"""How much the models of one network take on the wire, from its structure alone."""

from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec import Codec, coded_bytes
from fedphd.common.wire.parts import Parts, restrict
from fedphd.common.wire.traffic import Traffic, total


class Sizes:
    """Sizes of a network's parts, each counted once.

    Parameters
    ----------
    structure : Structure
        The whole network's.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self._known: dict[tuple[Parts, str], Traffic] = {}

    def of(self, parts: Parts, codec: Codec) -> Traffic:
        """Count parameters and bytes, those before zstd, of some parts; no message yet."""
        if (parts, codec.kind) not in self._known:
            sent = restrict(self.structure, parts)
            self._known[parts, codec.kind] = Traffic(0, sent.size, coded_bytes(sent, codec.kind))
        return self._known[parts, codec.kind]


def message(*models: Traffic) -> Traffic:
    """Count one message with these models."""
    return total((Traffic(messages=1), *models))

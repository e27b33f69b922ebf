"""The serialisation types on the wire, none of them Flower's: Flower refuses to average what it cannot read."""

from reprlib import repr as shortened

from fedphd.common.wire.codec.base import CODECS
from fedphd.common.wire.codec.errors import CodecError


def stype_of(kind: str, compressed: bool) -> str:
    """Name the serialisation type, e.g. ``fedphd.int8`` or ``fedphd.int4+zstd``."""
    return f"fedphd.{kind}+zstd" if compressed else f"fedphd.{kind}"


def read_stype(stype: str) -> tuple[str, bool]:
    """Read back `stype_of`: the kind, and whether the data are compressed.

    Raises
    ------
    CodecError
        If there is no such serialisation type.
    """
    known = {stype_of(kind, compressed): (kind, compressed) for kind in CODECS.kinds for compressed in (False, True)}
    if stype not in known:
        raise CodecError(f"unknown serialisation type {shortened(stype)}; known are {', '.join(known)}")
    return known[stype]

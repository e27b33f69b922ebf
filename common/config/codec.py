"""How tensors travel on each hop and in each direction (`conf/codec/`); the codecs are in common/wire/codec/."""

from typing import TYPE_CHECKING, Annotated

from fedphd.common.choices import Section
from fedphd.common.errors import SettingError
from fedphd.common.wire.codec import CODECS, Codec, Float32

if TYPE_CHECKING:
    from fedphd.common.config.schema import Config

EXACT = Float32(kind="float32", of="weights", error_feedback=False, zstd=None)


class WaysCodec(Section):
    """The codec of each direction of a hop."""

    down: Annotated[Codec, CODECS.at("codec.down")]
    up: Annotated[Codec, CODECS.at("codec.up")]


class AccessCodec(WaysCodec):
    """Between clients and edges."""

    down: Annotated[Codec, CODECS.at("codec.access.down")]
    up: Annotated[Codec, CODECS.at("codec.access.up")]


class BackboneCodec(WaysCodec):
    """Between edges and root."""

    down: Annotated[Codec, CODECS.at("codec.backbone.down")]
    up: Annotated[Codec, CODECS.at("codec.backbone.up")]


class HopsCodec(Section):
    """The codecs of both hops."""

    access: AccessCodec
    backbone: BackboneCodec

    def check(self, _config: "Config") -> None:
        """Check that each codec suits its direction."""
        for hop, ways in (("access", self.access), ("backbone", self.backbone)):
            _check_lane(f"codec.{hop}.down", ways.down)
            _check_lane(f"codec.{hop}.up", ways.up)


def _check_lane(key: str, codec: Codec) -> None:
    if codec.of == "weights" and codec.weights_as != codec.kind:
        raise SettingError(
            f"{key}.of", "weights", f"{codec.kind} weights ruin the images; use change, or {codec.weights_as}"
        )
    if codec.rounding == "stochastic" and not codec.draws:
        raise SettingError(f"{key}.rounding", codec.rounding, f"is for integers; use nearest with {codec.kind}")
    if codec.error_feedback and codec.exact:
        advice = f"{codec.kind} rounds nothing away; use false, or another kind"
        raise SettingError(f"{key}.error_feedback", True, advice)

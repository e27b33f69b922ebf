"""What a run keeps, what clients tell of their data, and what their containers may use (in `conf/config.yaml`)."""

from typing import Annotated, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from fedphd.common.choices import Affects, Section
from fedphd.common.paths import UserPath


class PrivacyConfig(Section):
    """What a client tells about its data."""

    histogram_epsilon: PositiveFloat | None


class CheckpointConfig(Section):
    """What the root keeps on disk."""

    affects: ClassVar[Affects] = Affects.NOTHING

    every: PositiveInt
    keep: PositiveInt
    resume: UserPath | None


class ResourcesConfig(Section):
    """Limits of a client's container."""

    affects: ClassVar[Affects] = Affects.NOTHING

    client_cpus: PositiveFloat | None
    client_memory: Annotated[str, Field(pattern=r"^[1-9]\d*[mg]$")] | None

"""Measures of generated images: an extractor names its own."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from pydantic import BaseModel, ConfigDict

from fedphd.common.run.figures import quality


class Measured(BaseModel):
    """What has measures of generated images, in addition to its own fields.

    They are ``fid`` or ``fd_<name>``, the main one, which is lower for better images; ``<main>_reference``, what real
    held-out images score; ``<main>_std`` and ``<main>/<client>`` where each client's own images are measured;
    ``is_mean`` and ``is_std``; ``class_share/<class>``; and whatever else a user's own extractor scores.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, float]

    @property
    def measures(self) -> dict[str, float]:
        """The measures by name; empty where nothing was measured."""
        return self.__pydantic_extra__

    @property
    def quality(self) -> tuple[str, float] | None:
        """Name and value of the main measure."""
        return quality(self.measures)

    @property
    def reference(self) -> float | None:
        """What real held-out images score on the main measure."""
        return None if self.quality is None else self.measures.get(f"{self.quality[0]}_reference")

    @classmethod
    def readable(cls, line: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what cannot be a measure: keys of another version."""
        return {
            key: value
            for key, value in line.items()
            if key in cls.model_fields or (isinstance(value, Real) and not isinstance(value, bool))
        }

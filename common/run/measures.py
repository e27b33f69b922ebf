"""Measures of generated images: an extractor names its own."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from pydantic import BaseModel, ConfigDict

from fedphd.common.run.figures import further, quality


class Measured(BaseModel):
    """What has measures of generated images, in addition to its own fields.

    They are ``fid`` or ``fd_<name>``, the main one, which is lower for better images; ``<main>_reference``, what real
    images of the other split score; ``<main>_floor`` and ``<main>_floor_std``, what as many of the reference's own
    images score; ``<main>_std`` and ``<main>/<client>`` where each client's own images are measured; ``is_mean`` and
    ``is_std``; ``class_share/<class>``; ``class_accuracy`` and ``class_accuracy/<class>`` of a model that is told
    classes; those of `evaluation.measures`; whatever a user's own extractor scores; and what clients say by their own
    images: ``own_loss``, ``copied_share``, ``near_share``, ``authentic_share`` and what goes with these.
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
        """What real images of the split that is not the reference score on the main measure."""
        return self._beside_main("_reference")

    @property
    def floor(self) -> float | None:
        """What as many real images as were generated, drawn from the reference itself, score on the main measure."""
        return self._beside_main("_floor")

    @property
    def floor_std(self) -> float | None:
        """Standard deviation of `floor` over draws."""
        return self._beside_main("_floor_std")

    @property
    def further(self) -> dict[str, float]:
        """The other measures by name, without what belongs to one of them."""
        return further(self.measures)

    def _beside_main(self, end: str) -> float | None:
        return None if self.quality is None else self.measures.get(self.quality[0] + end)

    @classmethod
    def readable(cls, line: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what cannot be a measure: keys of another version."""
        return {
            key: value
            for key, value in line.items()
            if key in cls.model_fields or (isinstance(value, Real) and not isinstance(value, bool))
        }

"""What all events have in common."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field


def now() -> float:
    """Give the time in seconds since the epoch, to the millisecond."""
    return round(time.time(), 3)


class Event(BaseModel):
    """Something that happened to a message, a model or the run.

    Attributes
    ----------
    name : str
        What the ledger calls events of this kind, as ``lost``; of the class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    name: ClassVar[str]

    time: float = Field(
        default_factory=now, description="When it happened, in seconds since the epoch by the clock of its node"
    )

    @property
    def facts(self) -> dict[str, Any]:
        """What was given when it was made, but the time: what was left out is not there."""
        return self.model_dump(exclude_unset=True, exclude={"time"})

    @classmethod
    def read(cls, line: Mapping[str, Any]) -> Self:
        """Check an event that somebody wrote.

        Parameters
        ----------
        line : Mapping[str, Any]
            Its time and its facts.

        Raises
        ------
        ValidationError
            If a fact is missing, of a wrong type, or unknown.
        """
        return cls.model_validate({"time": None, **line})

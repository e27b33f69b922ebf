"""How many images each evaluation of a run measured: distances over different numbers of them do not compare."""

from collections.abc import Sequence
from typing import NamedTuple

from fedphd.launch.compare.settings import Settings
from fedphd.launch.compare.standing import Standing


class Drawn(NamedTuple):
    """Images that a run draws to measure: before its last round, and after it; None: its settings do not tell."""

    before: int | None
    last: int | None

    @classmethod
    def of(cls, settings: Settings) -> "Drawn":
        """Read `evaluation.images` and `evaluation.final_images`."""
        before, last = (_count(settings, key) for key in ("evaluation.images", "evaluation.final_images"))
        return cls(before, before if last is None else last)

    @property
    def differ(self) -> bool:
        """Whether the two are not the same."""
        return self.before != self.last


def with_images(standings: Sequence[Standing], settings: Settings, measure: str | None) -> list[Standing]:
    """Tell all standings of a run that were measured over how many images.

    A round that was the last until a resume added more of them is known by its floor, which follows from that number.
    """
    drawn, floor = Drawn.of(settings), f"{measure}_floor"
    ends = [one for one in standings if str(one.round) == settings.get("rounds")]
    floors = {one.measures[floor] for one in ends if floor in one.measures}

    def images(one: Standing) -> int | None:
        if measure not in one.measures:
            return None
        return drawn.last if one in ends or one.measures.get(floor) in floors else drawn.before

    return [one.model_copy(update={"images": images(one)}) for one in standings]


def _count(settings: Settings, key: str) -> int | None:
    value = settings.get(key, "")
    return int(value) if value.isdecimal() else None

"""Which measures there are beside the Fréchet distance: what `evaluation.measures` names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real

from fedphd.common.choices import find_named
from fedphd.common.errors import SettingError
from fedphd.server.evaluation.measures.clouds import Clouds
from fedphd.server.evaluation.measures.kernel import kernel_distance
from fedphd.server.evaluation.measures.neighbours import NEIGHBOURS, precision_recall

KEY = "evaluation.measures"

FEWEST = 2  # images that even the Fréchet distance needs


@dataclass(frozen=True)
class Measure:
    """A measure and what it needs.

    Attributes
    ----------
    function : Callable
        Gives numbers by the names that they have in metrics.jsonl.
    fewest : int
        Images that it needs of each side, the real and the generated ones.
    """

    function: Callable[[Clouds], Mapping[str, float]]
    fewest: int = FEWEST


MEASURES: dict[str, Measure] = {
    "kid": Measure(kernel_distance),
    "precision_recall": Measure(precision_recall, NEIGHBOURS + 1),
}


def find_measures(names: Sequence[str]) -> dict[str, Measure]:
    """Find measures by their names, or a user's own functions by their import paths ``package.module:function``.

    A function that needs more than two images says so by an attribute ``fewest``.

    Raises
    ------
    SettingError
        If there is no such measure.
    """
    return {name: _find(name) for name in names}


def fewest(measures: Mapping[str, Measure]) -> int:
    """Give how many images of each side all measures need, the Fréchet distance among them."""
    return max([FEWEST, *(measure.fewest for measure in measures.values())])


def check_counts(measures: Mapping[str, Measure], counts: Mapping[str, int]) -> None:
    """Check that each measure gets images enough.

    Parameters
    ----------
    measures : Mapping[str, Measure]
        By name.
    counts : Mapping[str, int]
        How many images there are, by the setting that says so.

    Raises
    ------
    SettingError
        If there are too few for one.
    """
    for key, count in counts.items():
        for name, measure in measures.items():
            if count < measure.fewest:
                raise SettingError(key, count, f"too few for {KEY}={name}; use at least {measure.fewest}")


def take(measures: Mapping[str, Measure], clouds: Clouds) -> dict[str, float]:
    """Take the measures; all numbers together.

    Raises
    ------
    SettingError
        If a user's own gives something else than finite numbers, or one under a name that is not its own.
    """
    found: dict[str, float] = {}
    for name, measure in measures.items():
        given = measure.function(clouds)
        if not isinstance(given, Mapping):
            raise SettingError(KEY, name, f"must return numbers by their names, not {type(given).__name__}")
        for key, value in given.items():
            _check(name, key, value, found)
            found[key] = float(value)
    return found


def _find(name: str) -> Measure:
    found = find_named(KEY, name, MEASURES, "measure", "package.module:function")
    if isinstance(found, Measure):
        return found
    if not callable(found):
        raise SettingError(KEY, name, "must be a function of the real and generated features that gives numbers")
    needed = getattr(found, "fewest", FEWEST)
    if not isinstance(needed, int):
        raise SettingError(KEY, name, f"has fewest={needed}; must be a number of images")
    return Measure(found, needed)


def _check(measure: str, key: object, value: object, found: Mapping[str, float]) -> None:
    if not isinstance(value, Real) or not isfinite(value):
        raise SettingError(KEY, measure, f"returned {key}={value}; must return finite numbers by their names")
    if not isinstance(key, str) or key in found or key == "fid" or key.startswith("fd_"):
        raise SettingError(KEY, measure, f"returned {key}, another measure's name; rename it")

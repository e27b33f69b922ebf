"""Which measures there are beside the Fréchet distance: what `evaluation.measures` names."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Real

from fedphd.common.choices import import_object, no_such
from fedphd.common.errors import SettingError
from fedphd.server.evaluation.measures.clouds import Clouds
from fedphd.server.evaluation.measures.kernel import kernel_distance
from fedphd.server.evaluation.measures.neighbours import precision_recall

KEY = "evaluation.measures"

Measure = Callable[[Clouds], Mapping[str, float]]  # gives numbers by the names that they have in metrics.jsonl

MEASURES: dict[str, Measure] = {"kid": kernel_distance, "precision_recall": precision_recall}


def find_measures(names: Sequence[str]) -> dict[str, Measure]:
    """Find measures by their names, or a user's own functions by their import paths ``package.module:function``.

    Raises
    ------
    SettingError
        If there is no such measure.
    """
    return {name: _find(name) for name in names}


def take(measures: Mapping[str, Measure], clouds: Clouds) -> dict[str, float]:
    """Take the measures; all numbers together.

    Raises
    ------
    SettingError
        If a user's own gives something else than finite numbers, or one under a name that is not its own.
    """
    found: dict[str, float] = {}
    for name, measure in measures.items():
        given = measure(clouds)
        if not isinstance(given, Mapping):
            raise SettingError(KEY, name, f"must return numbers by their names, not {type(given).__name__}")
        for key, value in given.items():
            _check(name, key, value, found)
            found[key] = float(value)
    return found


def _find(name: str) -> Measure:
    if name in MEASURES:
        return MEASURES[name]
    if ":" not in name:
        raise SettingError(KEY, name, no_such("measure", name, MEASURES, "package.module:function"))
    found: Measure = import_object(KEY, name)
    if not callable(found):
        raise SettingError(KEY, name, "must be a function of the real and generated features that gives numbers")
    return found


def _check(measure: str, key: object, value: object, found: Mapping[str, float]) -> None:
    if not isinstance(value, Real) or not isfinite(value):
        raise SettingError(KEY, measure, f"returned {key}={value}; must return finite numbers by their names")
    if not isinstance(key, str) or key in found or key == "fid" or key.startswith("fd_"):
        raise SettingError(KEY, measure, f"returned {key}, another measure's name; rename it")

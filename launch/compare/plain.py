"""The comparison as plain values, for programs."""

from typing import Any

from fedphd.launch.compare.comparison import Comparison, Configuration
from fedphd.launch.compare.numbers import Spread
from fedphd.launch.compare.settings import deviations


def plain(comparison: Comparison) -> dict[str, Any]:
    """Give the comparison as a tree of dicts, lists, texts and numbers.

    Returns
    -------
    dict[str, Any]
        ``measure``: name of the quality measure, or None. ``reference``: what real held-out images score.
        ``configurations``: for each row its ``name``, ``seeds``, ``runs``, ``settings`` (those that are not
        the usual ones), ``quality_is_mean_over_clients``, the quantities, and its ``curve`` of quality against
        bytes. ``usual`` and ``shared``: settings. ``left_out``: runs, with the reason.
        A quantity has ``mean``, ``std`` (None of one seed), ``min``, ``max``, and ``values`` by seed; bytes,
        parameters, multiply-accumulates and seconds are in ones. None: a run does not have it.
    """
    return {
        "measure": comparison.measure,
        "reference": _spread(comparison.reference),
        "configurations": [_configuration(row, comparison) for row in comparison.configurations],
        "usual": dict(comparison.usual),
        "shared": dict(comparison.shared),
        "left_out": [{"run": name, "reason": reason} for name, reason in comparison.left_out],
    }


def _configuration(row: Configuration, comparison: Comparison) -> dict[str, Any]:
    return {
        "name": row.name,
        "seeds": row.seeds,
        "runs": [run.name for run in row.runs],
        "settings": dict(deviations(row.settings, comparison.usual)),
        "quality_is_mean_over_clients": row.over_clients,
        **{quantity.key: _spread(row.spread(quantity)) for quantity in comparison.quantities},
        "curve": [
            {"round": point.round, "bytes": point.bytes, "quality": _spread(point.quality)} for point in row.curve
        ],
    }


def _spread(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    values = spread.values
    return {
        "mean": spread.mean,
        "std": spread.std,
        "min": min(values),
        "max": max(values),
        "values": list(values),
    }

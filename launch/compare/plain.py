"""The comparison as plain values, for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fedphd.launch.compare.comparison import Comparison
from fedphd.launch.compare.configuration import Configuration
from fedphd.launch.compare.cut import Cut
from fedphd.launch.compare.intervals import LEVEL, paired
from fedphd.launch.compare.numbers import Spread
from fedphd.launch.compare.quantities import ROOT, SHARES
from fedphd.launch.compare.relation import share
from fedphd.launch.compare.settings import deviations


def plain(comparison: Comparison, cuts: Sequence[Cut] = ()) -> dict[str, Any]:
    """Give the comparison as a tree of dicts, lists, texts and numbers.

    Returns
    -------
    dict[str, Any]
        ``measure``: name of the quality measure, or None. ``real_images``: what those real images score that
        ``real_images_are``, all of the split that is not the reference; ``floor``: mean and standard deviation of what
        real images score that are as many as the generated ones.
        ``configurations``: for each row its ``name``, ``seeds``, ``absent_seeds`` (of a cut: those that have no such
        moment; then there are no means), ``runs``, ``settings`` (those that are not the usual ones),
        ``quality_is_mean_over_clients``, the quantities, and its ``curve`` of quality against bytes and client epochs,
        with the number of ``images`` that each value is over. ``relations``: for each ``reference`` and each other row
        ``of``, by ``seeds`` that both have, the ``difference`` of quality and its change in ``per_cent``, each with
        mean and the bounds of its interval of ``confidence``, and ``shares`` of the reference's bytes, computation and
        epochs. ``usual`` and ``shared``: settings. ``left_out``: runs, with the reason. ``cuts``: the same (without
        settings) at the moment at which they had at most ``limit`` ``of`` client epochs or image passes, or first that
        quality, over so many ``images``.
        A quantity has ``mean``, ``std`` (None of one seed), ``min``, ``max``, and ``values`` by seed; bytes,
        parameters, multiply-accumulates and seconds are in ones. None: a run does not have it.
    """
    return {
        **_rows(comparison),
        "usual": dict(comparison.usual),
        "shared": dict(comparison.shared),
        "cuts": [
            {"of": one.moment.what, "limit": one.limit, "images": one.images, **_rows(one.comparison)} for one in cuts
        ],
    }


def _rows(comparison: Comparison) -> dict[str, Any]:
    return {
        "measure": comparison.measure,
        "real_images": _spread(comparison.real),
        "real_images_are": comparison.other_images if comparison.real else None,
        "floor": None if comparison.floor is None else asdict(comparison.floor),
        "configurations": [_configuration(row, comparison) for row in comparison.configurations],
        "confidence": LEVEL,
        "relations": [_relation(row, other) for other in comparison.references for row in comparison.others(other)],
        "left_out": [{"run": name, "reason": reason} for name, reason in comparison.left_out],
    }


def _configuration(row: Configuration, comparison: Comparison) -> dict[str, Any]:
    return {
        "name": row.name,
        "seeds": row.seeds,
        "absent_seeds": list(row.absent),
        "runs": [run.name for run in row.runs],
        "settings": dict(deviations(row.settings, comparison.usual)),
        "quality_is_mean_over_clients": row.over_clients,
        **{quantity.key: _spread(row.spread(quantity)) for quantity in (*comparison.quantities, ROOT)},
        "curve": [
            {
                "round": point.round,
                "bytes": point.bytes,
                "client_epochs": point.client_epochs,
                "images": point.images,
                "quality": _spread(point.quality),
            }
            for point in row.curve
        ],
    }


def _relation(row: Configuration, other: Configuration) -> dict[str, Any]:
    difference = paired(row, other)
    told = {} if difference is None else asdict(difference)
    return {
        "of": row.name,
        "reference": other.name,
        "seeds": list(told.get("seeds", ())),
        "difference": told.get("absolute"),
        "per_cent": told.get("per_cent"),
        "shares": {quantity.key: share(row, other, quantity) for quantity in SHARES},
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

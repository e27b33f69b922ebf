"""The estimate as plain values, for programs."""

from dataclasses import asdict
from typing import Any

from fedphd.common.wire.traffic import total
from fedphd.launch.cost.estimate import Estimate, Network, saved
from fedphd.launch.cost.notes import notes
from fedphd.launch.cost.reference import label
from fedphd.launch.cost.replay import Lanes


def plain(estimate: Estimate) -> dict[str, Any]:
    """Give the estimate as a tree of dicts, lists, texts and numbers.

    Returns
    -------
    dict[str, Any]
        ``network`` and ``pruned_network`` (None if nothing is pruned): parameters of the U-Net's parts and in all, and
        MACs of one forward pass; ``pruned_after``: root rounds before the pruning. ``total``: of each hop in each
        direction and of ``all``, its ``messages``, ``parameters`` and ``bytes`` in the whole run; ``unsaved``: the same
        with exchange=full, codec=float32, pruning=none and adapters=none; ``saved``: share of these bytes that is
        saved. ``costs``: ``root_bytes``, ``bytes``, ``client_epochs``, ``image_passes`` and ``forward_macs`` of the
        whole run, the last two None where nobody knows here who has how many images; ``reference``: the same of flat
        FedAvg at equal client epochs, and its ``name``; ``shares``: of the reference's.
        ``periods``: the same counts for the root rounds ``first`` to ``last`` together, 0 being what comes before the
        first. ``exact``: whether a run without faults will count just this. ``notes``: why not, and what is not
        counted.
    """
    lanes, unsaved = _with_all(estimate.lanes), _with_all(estimate.unsaved)
    return {
        "network": _network(estimate.dense),
        "pruned_network": None if estimate.pruned is None else _network(estimate.pruned),
        "pruned_after": estimate.pruned_after,
        "total": _counts(lanes),
        "unsaved": _counts(unsaved),
        "saved": {lane: saved(lanes[lane], unsaved[lane]) for lane in lanes},
        "costs": asdict(estimate.costs),
        "reference": {"name": label(estimate.flat), **asdict(estimate.flat_costs)},
        "shares": estimate.costs.shares(estimate.flat_costs),
        "periods": [
            {"first": period.first, "last": period.last, **_counts(_with_all(period.lanes))}
            for period in estimate.periods
        ],
        "exact": estimate.unknown is None and not estimate.compressed,
        "notes": notes(estimate),
    }


def _network(network: Network) -> dict[str, int]:
    return {**network.parameters, "parameters": network.structure.size, "macs": network.macs}


def _with_all(lanes: Lanes) -> Lanes:
    return {**lanes, "all": total(lanes.values())}


def _counts(lanes: Lanes) -> dict[str, dict[str, int]]:
    return {lane: asdict(traffic) for lane, traffic in lanes.items()}
